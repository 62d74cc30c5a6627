import { hash } from "node:crypto";
import { StintError } from "../../domain/errors.ts";
import { BUCKETS, bucketOfSubject, isId, type LeaseId, type TaskId } from "../../domain/ids.ts";
import type { LockScope, MarkScope } from "../../store/api.ts";
import { leaseIdOfCredential, leaseIdOfHash } from "../leases/own-token.ts";
import type { Parts } from "../parts.ts";
import type { TaskTokens } from "../tasks/token.ts";
import type { Selector } from "./api.ts";

/** A mark and the buckets it must stand in to be in force. */
export interface PlacedMark {
  readonly scope: MarkScope;
  readonly buckets: readonly number[];
}

/** What a selector comes to: one lease, one task, or marks. */
export type Target =
  | { readonly kind: "lease"; readonly id: LeaseId }
  | { readonly kind: "task"; readonly id: TaskId }
  | { readonly kind: "marks"; readonly marks: readonly PlacedMark[] };

export interface Resolved {
  readonly target: Target;
  /** As a job keeps it: names only, a credential by its SHA-256. `resolveStored` reads it back. */
  readonly stored: Readonly<Record<string, unknown>>;
  /** What keeps the revoked from coming back at once; the subjects are those a workload's name stands for. */
  readonly lock: { readonly scope: LockScope; readonly subjects: readonly string[] };
}

const ALL_BUCKETS: readonly number[] = Array.from({ length: BUCKETS }, (_, bucket) => bucket);
const HASHED = /^sha256:([0-9a-f]{64})$/;
type SelectorParts = Pick<Parts, "store" | "signatures" | "url">;

const marksOn = (scope: MarkScope): Target => ({ kind: "marks", marks: [{ scope, buckets: ALL_BUCKETS }] });

/** What the selector covers. Throws `not_found` for a lease, task or credential that is not known. */
export async function resolve(parts: SelectorParts, tokens: TaskTokens, selector: Selector): Promise<Resolved> {
  switch (selector.kind) {
    case "all":
      return { target: marksOn({ kind: "all" }), stored: { all: true }, lock: { scope: { kind: "all" }, subjects: [] } };
    case "grant":
    case "issuer":
    case "trust": {
      const scope = { kind: selector.kind, name: selector.name };
      return { target: marksOn(scope), stored: { [selector.kind]: selector.name }, lock: { scope, subjects: [] } };
    }
    case "workload":
      return byWorkload(parts, selector.name);
    case "lease":
      return byLease(parts, selector.name, { lease: selector.name });
    case "task":
      return byTask(parts, selector.name);
    case "credential": {
      const text = selector.name.reveal();
      const given = HASHED.exec(text)?.[1];
      const sha256 = given ?? hash("sha256", text, "hex");
      const holder = given === undefined ? await tokens.verifyEnded(selector.name) : undefined;
      if (holder !== undefined) return byTask(parts, holder.taskId);
      const id = given === undefined ? await leaseIdOfCredential(parts, selector.name) : await leaseIdOfHash(parts, given);
      if (id === undefined) throw new StintError("not_found", "no lease of ours belongs to that credential, or it ended long ago");
      return byLease(parts, id, { credential: `sha256:${sha256}`, lease: id });
    }
  }
}

/** A key that leaked: every lease it signed. Not a selector that operators name. */
export const resolveKey = (kid: string): Resolved => ({
  target: marksOn({ kind: "key", name: kid }),
  stored: { key: kid },
  lock: { scope: { kind: "all" }, subjects: [] },
});

/** Reads a job's selector back, for whichever broker goes on with it. Undefined when it cannot be. */
export async function resolveStored(
  parts: SelectorParts,
  tokens: TaskTokens,
  stored: Readonly<Record<string, unknown>>,
): Promise<Resolved | undefined> {
  const { all, lease, task, key } = stored;
  if (all === true) return resolve(parts, tokens, { kind: "all" });
  if (typeof key === "string") return resolveKey(key);
  if (typeof lease === "string") return byLease(parts, lease, stored);
  if (typeof task === "string") return byTask(parts, task);
  for (const kind of ["workload", "grant", "issuer", "trust"] as const) {
    const name = stored[kind];
    if (typeof name === "string") return resolve(parts, tokens, { kind, name });
  }
  return undefined;
}

/** A subject, or a display name that stands for every subject that bore it. */
async function byWorkload(parts: SelectorParts, name: string): Promise<Resolved> {
  const subjects = await parts.store.revocations.subjectsOf(name);
  const marks = subjects.map((subject) => ({ scope: { kind: "workload" as const, name: subject }, buckets: [bucketOfSubject(subject)] }));
  return { target: { kind: "marks", marks }, stored: { workload: name }, lock: { scope: { kind: "workload", name }, subjects } };
}

async function byLease(parts: SelectorParts, name: string, stored: Readonly<Record<string, unknown>>): Promise<Resolved> {
  const lease = isId("lease", name) ? await parts.store.leases.get(name) : undefined;
  if (lease === undefined) throw new StintError("not_found", "there is no such lease");
  return {
    target: { kind: "lease", id: lease.id },
    stored,
    lock: { scope: { kind: "workload", name: lease.subject }, subjects: [lease.subject] },
  };
}

async function byTask(parts: SelectorParts, name: string): Promise<Resolved> {
  const task = isId("task", name) ? await parts.store.tasks.get(name) : undefined;
  if (task === undefined) throw new StintError("not_found", "there is no such task");
  return {
    target: { kind: "task", id: task.id },
    stored: { task: name },
    lock: { scope: { kind: "workload", name: task.subject }, subjects: [task.subject] },
  };
}
