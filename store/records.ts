import { StintError } from "../domain/errors.ts";
import { instantOf, type LeaseId } from "../domain/ids.ts";
import { REVOCATIONS, type EndedBy, type Lease, type LeaseOutcome, type LeaseState, type RevocationClass } from "../domain/lease.ts";
import type { LeaseEnding } from "./api.ts";

/** Places of a lease while a script has it in hand, from 1 on. Marks name one of them. */
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
] as const;
export const placeOf = (member: (typeof PLACES)[number]): number => PLACES.indexOf(member) + 1;

/** Fields of a lease's record, between tabs. `pack_lease` in lua/lib.lua writes them, and says why so. */
const FIELDS = [
  "head",
  "subject",
  "workload",
  "grant",
  "issuer",
  "task",
  "ttl",
  "moreTtl",
  "keyId",
  "trust",
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
type Field = (typeof FIELDS)[number];
const AT = Object.fromEntries(FIELDS.map((name, index) => [name, index])) as Readonly<Record<Field, number>>;

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

export const alien = (): StintError =>
  new StintError("store_unavailable", "the store holds a record in a layout this version does not know");

/** Reads a lease. `marked`: a mark covers it, so it is on its way out whatever the record says. */
export function readLease(bareId: string, text: string, marked: boolean): StoredLease {
  const row = text.split("\t");
  const word = (field: Field): string => row[AT[field]] ?? "";
  const number = (field: Field): number => {
    const value = Number(row[AT[field]] ?? 0);
    if (!Number.isSafeInteger(value)) throw alien();
    return value;
  };
  const state = STATES[text.slice(0, 1)];
  const revocation = CLASSES[text.slice(1, 2)];
  if (row.length < AT.task + 1 || row.length > FIELDS.length || row[0]?.length !== 3 || state === undefined || revocation === undefined)
    throw alien();
  const id: LeaseId = `lease_${bareId}`;
  const subject = word("subject");
  const openedAt = instantOf(id);
  const expiresAt = openedAt + number("ttl");
  const leaving = marked && (state === "active" || state === "pending");
  const endedBy = word("endedBy");
  const lease: Lease = {
    id,
    state: leaving ? "revoking" : state,
    subject,
    workload: word("workload"),
    trust: word("trust") || trustOf(subject),
    grant: word("grant"),
    issuer: word("issuer"),
    task: `task_${word("task")}`,
    openedAt,
    expiresAt,
    maxExpiresAt: expiresAt + number("moreTtl"),
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

/** The trust that vouched for a subject, where its record does not name it. */
export const trustOf = (subject: string): string => subject.slice(0, Math.max(0, subject.indexOf(":")));

/** From a lease's end to its confirmation; undefined while that is missing. */
const tookMs = ({ endedAt, settledAt }: Pick<Lease, "endedAt" | "settledAt">): number | undefined =>
  settledAt === undefined || endedAt === undefined ? undefined : settledAt - endedAt;

/** How a lease that still has its record stands in a receipt. Without `how` (a lease that was read by itself), gone is `revoked`. */
export function endingOf({ lease, how }: Pick<StoredLease, "lease"> & Partial<Pick<StoredLease, "how">>): LeaseEnding {
  return {
    leaseId: lease.id,
    issuer: lease.issuer,
    outcome: outcomeOf(lease.state, how),
    revocation: lease.revocation,
    endedAt: lease.endedAt,
    expiresAt: lease.expiresAt,
    tookMs: tookMs(lease),
    reason: lease.lastError,
    grant: lease.grant,
    announced: lease.announced,
  };
}

function outcomeOf(state: LeaseState, how: string | undefined): LeaseOutcome {
  switch (state) {
    case "stuck":
    case "forced":
      return state;
    case "revoked":
      return how === "already_gone" ? "already_gone" : "revoked";
    case "pending":
    case "active":
    case "revoking":
      return "revoking";
  }
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

export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw alien();
  }
}
