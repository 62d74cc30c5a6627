import type { Lease } from "../domain/lease.ts";
import type { MarkScope } from "./api.ts";
import { placeKey } from "./keyspace.ts";
import { readLease, type StoredLease } from "./records.ts";
import type { Runner } from "./run.ts";

/** The field of a mark or a lock in its bucket. */
export const scopeField = (scope: MarkScope): string => (scope.kind === "all" ? "all" : `${scope.kind}:${scope.name}`);

/** A bucket's marks: field to the millisecond up to which everything is revoked. */
export type Marks = Readonly<Record<string, string>>;

export const readMarks = (runner: Runner, bucket: number): Promise<Marks> =>
  runner.ask((client) => client.hgetall(`${placeKey(bucket)}:marks`));

/** A lease as it stands beneath its bucket's marks: whatever its record says, one that is covered is on its way out. */
export function readStanding(bareId: string, text: string, marks: Marks): StoredLease {
  const stored = readLease(bareId, text, false);
  return coversLease(marks, stored.lease) ? readLease(bareId, text, true) : stored;
}

/** Whether a mark covers the lease. (Marks on signing keys are judged where the token is at hand.) */
function coversLease(marks: Marks, lease: Lease): boolean {
  const fields = ["all", `workload:${lease.subject}`, `grant:${lease.grant}`, `issuer:${lease.issuer}`, `trust:${lease.trust}`];
  return fields.some((field) => lease.openedAt <= Number(marks[field] ?? 0));
}
