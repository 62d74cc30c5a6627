import type { AuditRecord } from "../../domain/audit-event.ts";
import { BUCKETS } from "../../domain/ids.ts";
import { canonical, canonicalRecord, lineHash } from "./canonical.ts";

/** `prev` of the very first record of a directory. */
export const GENESIS = "0".repeat(64);

/** Where a chain stands: how many records, the hash of the last one, and the last sequence of each bucket. */
export interface Tail {
  readonly size: number;
  readonly head: string;
  readonly sequences: readonly number[];
}

/** A record as it lies in a file: with the hash of the line before it. */
export interface ChainedRecord extends AuditRecord {
  readonly prev: string;
}

/**
 * A line that belongs to no bucket: an operator said that the files go on from a store that is not where they left it (a restore).
 * The sequences of all buckets count from these on.
 */
export interface AcceptedStore {
  readonly accepted_store: string;
  readonly at: string;
  readonly principal: string;
  readonly reason: string;
  readonly sequences: readonly number[];
  readonly prev: string;
}

export const EMPTY_TAIL: Tail = { size: 0, head: GENESIS, sequences: Array.from({ length: BUCKETS }, () => 0) };

/** The lines that carry these records on from a tail, and the tail after them. Pure. */
export function extend(tail: Tail, records: readonly AuditRecord[]): { readonly lines: readonly string[]; readonly tail: Tail } {
  const sequences = [...tail.sequences];
  const lines: string[] = [];
  let head = tail.head;
  for (const record of records) {
    const line = canonicalRecord(record, head);
    lines.push(line);
    head = lineHash(line);
    sequences[record.bucket] = record.seq;
  }
  return { lines, tail: { size: tail.size + records.length, head, sequences } };
}

/** The line that carries the chain over to another state of the store, and the tail after it. Pure. */
export function extendWithStore(
  tail: Tail,
  accepted: Omit<AcceptedStore, "prev">,
): { readonly lines: readonly string[]; readonly tail: Tail } {
  const line = canonical({ ...accepted, prev: tail.head });
  return { lines: [line], tail: { size: tail.size + 1, head: lineHash(line), sequences: accepted.sequences } };
}

/** A line read back; undefined when it is none of ours (not JSON, no bucket, no sequence, no `prev`). */
export function readLine(line: string): ChainedRecord | AcceptedStore | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isChained(value) || isAccepted(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export const isRecord = (line: ChainedRecord | AcceptedStore | undefined): line is ChainedRecord =>
  line !== undefined && !("accepted_store" in line);

function isAccepted(value: unknown): value is AcceptedStore {
  if (typeof value !== "object" || value === null || !("accepted_store" in value)) return false;
  const { accepted_store: store, prev, sequences } = value as Partial<Record<keyof AcceptedStore, unknown>>;
  return (
    typeof store === "string" &&
    typeof prev === "string" &&
    Array.isArray(sequences) &&
    sequences.length === BUCKETS &&
    sequences.every(Number.isSafeInteger)
  );
}

function isChained(value: unknown): value is ChainedRecord {
  if (typeof value !== "object" || value === null || "accepted_store" in value) return false;
  const { bucket, seq, prev, at, action } = value as Partial<Record<keyof ChainedRecord, unknown>>;
  return (
    typeof bucket === "number" &&
    Number.isInteger(bucket) &&
    bucket >= 0 &&
    bucket < BUCKETS &&
    typeof seq === "number" &&
    Number.isSafeInteger(seq) &&
    seq >= 1 &&
    typeof prev === "string" &&
    typeof at === "string" &&
    typeof action === "string"
  );
}
