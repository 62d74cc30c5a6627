import type { AuditRecord } from "../../domain/audit-event.ts";
import { StintError } from "../../domain/errors.ts";
import type { AuditStream, WaitingRecord } from "../../store/api.ts";
import type { Breather } from "./breather.ts";
import type { Tail } from "./chain.ts";
import type { StreamStates } from "./export-health.ts";

/** So many records of one bucket in a batch: what a batch may hold in memory is bounded. */
const PER_BUCKET = 200;
/** Buckets read side by side, before others have their turn. */
const TOGETHER = 4;

/** Whether a batch may have left something behind that was there when it was read. */
export const mayHaveLeft = (states: StreamStates, { sequences }: Tail): boolean =>
  states.some(({ firstWaiting, lastSeq }, bucket) => firstWaiting !== undefined && lastSeq > (sequences[bucket] ?? 0));

/** The next records of every bucket, in the order of their times as far as each bucket's own order allows. */
export async function collect(stream: AuditStream, states: StreamStates, tail: Tail, breathe: Breather): Promise<readonly WaitingRecord[]> {
  const waiting = states.flatMap(({ firstWaiting }, bucket) => (firstWaiting === undefined ? [] : [{ bucket, firstWaiting }]));
  const perBucket: (readonly WaitingRecord[])[] = [];
  for (let from = 0; from < waiting.length; from += TOGETHER) {
    if (from > 0) await breathe();
    const few = waiting
      .slice(from, from + TOGETHER)
      .map(({ bucket, firstWaiting }) => stream.waiting(bucket, Math.max(tail.sequences[bucket] ?? 0, firstWaiting - 1), PER_BUCKET));
    perBucket.push(...(await Promise.all(few)));
  }
  const dated = perBucket.flatMap((entries) => {
    let latest = 0;
    return entries.map((entry) => ({ entry, at: (latest = Math.max(latest, entry.at)) }));
  });
  return dated.sort((a, b) => a.at - b.at).map(({ entry }) => entry);
}

/** Each is taken apart when it is its turn, so that none of it outlives its line. */
export function* opened(batch: readonly WaitingRecord[]): Generator<AuditRecord> {
  for (const entry of batch) yield entry.record();
}

/**
 * A store behind its own files has gone back: its next records would carry sequences that are taken. Nothing is exported over them,
 * and on hold nothing at all: by its own records the store may have caught up with the files meanwhile.
 */
export function requireForward(states: StreamStates, tail: Tail): void {
  if (states.some(({ onHold }) => onHold))
    throw new StintError("audit_unavailable", "The store is on hold: nothing is exported until an admin clears it.");
  const bucket = states.findIndex(({ lastSeq }, index) => lastSeq < (tail.sequences[index] ?? 0));
  if (bucket < 0) return;
  throw new StintError(
    "audit_unavailable",
    `The store has gone back: bucket ${bucket} is at record ${states[bucket]?.lastSeq}, yet ${tail.sequences[bucket]} were exported.`,
  );
}
