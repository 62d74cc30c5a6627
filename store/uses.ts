import type { AuditFacts } from "../domain/audit-event.ts";
import { bucketOfId, type LeaseId } from "../domain/ids.ts";
import type { LeaseUse, UseNote, UseStore } from "./api.ts";
import { bare, placeKey, recordKey } from "./keyspace.ts";
import { pipelined } from "./pipeline.ts";
import { readLease } from "./records.ts";
import { texts, type Runner } from "./run.ts";

/** What verifiers said of leases: one short string a lease, gone with it. */
export function createUseStore(runner: Runner): UseStore {
  return {
    async note(notes, mayTell, audit) {
      const late: { lease: LeaseId; uses: number }[] = [];
      for (const [bucket, here] of byBucket(await allowed(runner, notes, mayTell)))
        late.push(...(await noteHere(runner, bucket, here, audit)));
      return late;
    },
    async of(leases) {
      const rows = await inBuckets(runner, leases, (bucket, id) => `${placeKey(bucket)}:u:${id}`);
      return new Map([...rows].flatMap(([lease, text]) => (text === null ? [] : [[lease, useOf(text)] as const])));
    },
  };
}

/** Uses of leases whose grant the reporter may speak of. A lease's grant never changes, so it may be read before. */
async function allowed(runner: Runner, notes: readonly UseNote[], mayTell: (grant: string) => boolean): Promise<readonly UseNote[]> {
  const records = await inBuckets(runner, [...new Set(notes.map(({ lease }) => lease))], (_, id) => recordKey("l", `lease_${id}`));
  return notes.filter(({ lease }) => {
    const text = records.get(lease);
    if (text === undefined || text === null) return false;
    return mayTell(readLease(bare(lease), text, false).lease.grant);
  });
}

async function noteHere(
  runner: Runner,
  bucket: number,
  notes: readonly UseNote[],
  audit: AuditFacts,
): Promise<{ lease: LeaseId; uses: number }[]> {
  const uses = notes.map(({ lease, at, how, count, source, route }) => [
    bare(lease),
    Math.floor(at),
    how === "accepted" ? "" : how,
    source ?? "",
    route ?? "",
    count,
  ]);
  const reply = texts(await runner.run("note-uses", bucket, { uses: JSON.stringify(uses), said: JSON.stringify(audit) }));
  const late: { lease: LeaseId; uses: number }[] = [];
  for (let index = 0; index + 1 < reply.length; index += 2)
    late.push({ lease: `lease_${reply[index] ?? ""}`, uses: Number(reply[index + 1]) });
  return late;
}

function useOf(text: string): LeaseUse {
  const [last, late, count] = JSON.parse(text) as [number, number, number];
  return { lastUsedAt: last === 0 ? undefined : last, afterEnd: count === 0 ? undefined : { at: late, count } };
}

function byBucket(notes: readonly UseNote[]): ReadonlyMap<number, readonly UseNote[]> {
  const found = new Map<number, UseNote[]>();
  for (const note of notes) found.set(bucketOfId(note.lease), [...(found.get(bucketOfId(note.lease)) ?? []), note]);
  return found;
}

/** One string of each lease, in one trip. */
async function inBuckets(
  runner: Runner,
  leases: readonly LeaseId[],
  keyOf: (bucket: number, id: string) => string,
): Promise<ReadonlyMap<LeaseId, string | null>> {
  const placed = new Map<number, LeaseId[]>();
  for (const lease of leases) placed.set(bucketOfId(lease), [...(placed.get(bucketOfId(lease)) ?? []), lease]);
  const buckets = [...placed.keys()];
  const replies = await pipelined(runner, buckets, (pipe, bucket) =>
    pipe.mget(...(placed.get(bucket) ?? []).map((lease) => keyOf(bucket, bare(lease)))),
  );
  const found = new Map<LeaseId, string | null>();
  buckets.forEach((bucket, index) => {
    const texts = (replies[index]?.[0] ?? []) as (string | null)[];
    (placed.get(bucket) ?? []).forEach((lease, at) => found.set(lease, texts[at] ?? null));
  });
  return found;
}
