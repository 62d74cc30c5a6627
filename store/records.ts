import { StintError } from "../domain/errors.ts";
import type { LeaseId, TaskId } from "../domain/ids.ts";
import { REVOCATIONS, type EndedBy, type Lease, type LeaseOutcome, type LeaseState, type RevocationClass } from "../domain/lease.ts";
import type { Task, TaskOutcome } from "../domain/task.ts";
import type { LeaseEnding } from "./api.ts";

// How lua/lib.lua writes a lease: a JSON array, its places in this order. Trailing places are left out while they are empty.
const PLACES = [
  "state",
  "subject",
  "workload",
  "trust",
  "grant",
  "issuer",
  "task",
  "openedAt",
  "expiresAt",
  "maxExpiresAt",
  "revocation",
  "computes",
  "keyId",
  "terms",
  "attempts",
  "lastError",
  "epoch",
  "endedAt",
  "endedBy",
  "handle",
  "externalName",
  "settledAt",
  "how",
  "announced",
  "status",
] as const;
/** The 1-based place of a member in the array, as Lua counts. */
export const placeOf = (member: (typeof PLACES)[number]): number => PLACES.indexOf(member) + 1;

const STATES: Readonly<Record<string, LeaseState>> = { p: "pending", a: "active", r: "revoking", s: "stuck", d: "revoked", f: "forced" };
const CLASSES: Readonly<Record<string, RevocationClass>> = { i: "immediate", v: "verifier_checked", e: "expiry_only" };
export const classLetter = (revocation: RevocationClass): string =>
  ({ immediate: "i", verifier_checked: "v", expiry_only: "e" })[revocation];
export const STATE_LETTERS = Object.keys(STATES);
export const stateOfLetter = (letter: string): LeaseState => STATES[letter] ?? "stuck";

/** A stored lease with what only the store and the sweeper need. */
export interface StoredLease {
  readonly lease: Lease;
  readonly epoch: number;
  readonly handle: string | undefined;
  readonly externalName: string | undefined;
  readonly how: string | undefined;
}

const alien = (): StintError => new StintError("store_unavailable", "the store holds a record in a layout this version does not know");

/** Reads a lease. `marked`: a mark covers it, so it is on its way out whatever the record says. */
export function readLease(bareId: string, text: string, marked: boolean): StoredLease {
  const row: unknown = parse(text);
  if (!Array.isArray(row) || row.length < 12 || row.length > PLACES.length) throw alien();
  const word = (member: (typeof PLACES)[number]): string => {
    const value: unknown = row[placeOf(member) - 1];
    if (value !== undefined && typeof value !== "string") throw alien();
    return value ?? "";
  };
  const number = (member: (typeof PLACES)[number]): number => {
    const value: unknown = row[placeOf(member) - 1];
    if (value !== undefined && typeof value !== "number") throw alien();
    return value ?? 0;
  };
  const state = STATES[word("state")];
  const revocation = CLASSES[word("revocation")];
  if (state === undefined || revocation === undefined) throw alien();
  const leaving = marked && (state === "active" || state === "pending");
  const endedBy = word("endedBy");
  const lease: Lease = {
    id: `lease_${bareId}`,
    state: leaving ? "revoking" : state,
    subject: word("subject"),
    workload: word("workload"),
    trust: word("trust"),
    grant: word("grant"),
    issuer: word("issuer"),
    task: `task_${word("task")}`,
    openedAt: number("openedAt"),
    expiresAt: number("expiresAt"),
    maxExpiresAt: number("maxExpiresAt"),
    endedAt: number("endedAt") || undefined,
    settledAt: number("settledAt") || undefined,
    endedBy: leaving ? "revoked" : endedBy === "" ? undefined : (endedBy as EndedBy),
    revocation,
    attempts: number("attempts"),
    lastError: word("lastError") || undefined,
    terms: word("terms") || undefined,
    status: word("status") || undefined,
    announced: number("announced") || undefined,
  };
  return {
    lease,
    epoch: number("epoch"),
    handle: word("handle") || undefined,
    externalName: word("externalName") || undefined,
    how: word("how") || undefined,
  };
}

/** Reads a task. */
export function readTask(bareId: string, text: string): Task {
  const row = parse(text) as Record<string, unknown> | null;
  if (row === null || typeof row !== "object" || (row["state"] !== "open" && row["state"] !== "ended")) throw alien();
  const word = (name: string): string | undefined => (typeof row[name] === "string" ? row[name] : undefined);
  const number = (name: string): number | undefined => (typeof row[name] === "number" ? row[name] : undefined);
  const parent = word("parent");
  return {
    id: `task_${bareId}`,
    state: row["state"],
    subject: word("subject") ?? "",
    workload: word("workload") ?? "",
    trust: word("trust") ?? "",
    value: word("value"),
    parent: parent === undefined ? undefined : (parent as TaskId),
    purpose: word("purpose"),
    openedAt: number("openedAt") ?? 0,
    expiresAt: number("expiresAt") ?? 0,
    heartbeatMs: number("heartbeatMs"),
    heartbeatBy: number("heartbeatBy"),
    endedAt: number("endedAt"),
    endedBy: word("endedBy") as EndedBy | undefined,
    outcome: word("outcome") as TaskOutcome | undefined,
  };
}

/** From a lease's end to its confirmation; undefined while that is missing. */
export const tookMs = ({ endedAt, settledAt }: Pick<Lease, "endedAt" | "settledAt">): number | undefined =>
  settledAt === undefined || endedAt === undefined ? undefined : settledAt - endedAt;

/** How a lease that still has its record stands in a receipt. */
export function endingOf({ lease, how }: StoredLease): LeaseEnding {
  const outcome: LeaseOutcome =
    lease.state === "stuck"
      ? "stuck"
      : lease.state === "forced"
        ? "forced"
        : lease.state === "revoked"
          ? how === "already_gone"
            ? "already_gone"
            : "revoked"
          : "revoking";
  return {
    leaseId: lease.id,
    issuer: lease.issuer,
    outcome,
    revocation: lease.revocation,
    endedAt: lease.endedAt,
    expiresAt: lease.expiresAt,
    tookMs: tookMs(lease),
    reason: lease.lastError,
    grant: lease.grant,
    announced: lease.announced,
  };
}

type EndingRow = [string, string, string, number, number, number, string?, string?, number?, number?];

/** Reads what `close` in lua/lib.lua left of a lease with its task: `[issuer, how, class, ended, expires, took, error, grant, announced, dead by]`. */
export function readEnding(leaseId: LeaseId, text: string): LeaseEnding {
  const row = parse(text);
  if (!Array.isArray(row) || row.length < 6) throw alien();
  const [issuer, how, letter, endedAt, expiresAt, tookMs, reason, grant, announced, deadBy] = row as EndingRow;
  const revocation = CLASSES[letter] ?? REVOCATIONS[2];
  const outcome: LeaseOutcome = how === "already_gone" || how === "forced" ? how : "revoked";
  return {
    leaseId,
    issuer,
    outcome,
    revocation,
    endedAt,
    expiresAt,
    tookMs,
    reason: reason === undefined || reason === "" ? undefined : reason,
    grant,
    announced: announced === 0 ? undefined : announced,
    deadBy,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw alien();
  }
}
