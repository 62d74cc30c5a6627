import { bucketOfId, bucketOfSubject, isId, type LeaseId } from "../domain/ids.ts";
import type { Lease } from "../domain/lease.ts";
import type { LeaseFilter, Page } from "./api.ts";
import { ALL_BUCKETS, bare, credentialKey, externalNameKey, placeKey, recordKey } from "./keyspace.ts";
import type { Runner } from "./run.ts";
import { subjectsOf } from "./workloads.ts";
import { readMarks, readStanding } from "./marks.ts";
import { cursorOf, readCursor, recordsOf, walkByScore } from "./walk.ts";

/** At most this many records are looked at for one page; a page may be short and still have a next one. */
const LOOK_AT = 1000;

/** Leases that match, a page at a time: by the index that fits (credential, name, task, workload), else along the due index. */
export async function listLeases(runner: Runner, filter: LeaseFilter, cursor: string | undefined, limit: number): Promise<Page<Lease>> {
  if (filter.credentialSha256 !== undefined) return single(runner, filter, await named(runner, credentialKey(filter.credentialSha256)));
  if (filter.externalName !== undefined) return single(runner, filter, await named(runner, externalNameKey(filter.externalName)));
  if (filter.task !== undefined) return byTask(runner, filter, cursor, limit);
  if (filter.workload !== undefined) return byWorkload(runner, filter, filter.workload, cursor, limit);
  if (filter.state === "forced")
    return byMembers(
      runner,
      filter,
      ALL_BUCKETS.map((bucket) => [bucket, `${placeKey(bucket)}:forced`]),
      async (key, at, count) => runner.ask((client) => client.sscan(key, at, "COUNT", count)),
      cursor,
      limit,
    );
  return byScore(runner, filter, filter.usedAfterEnd === true ? "ua" : "due", cursor, limit);
}

function matches(lease: Lease, filter: LeaseFilter): boolean {
  const { workload, task, grant, issuer, trust, state } = filter;
  return (
    (workload === undefined || lease.workload === workload || lease.subject === workload) &&
    (task === undefined || lease.task === task) &&
    (grant === undefined || lease.grant === grant) &&
    (issuer === undefined || lease.issuer === issuer) &&
    (trust === undefined || lease.trust === trust) &&
    (state === undefined || lease.state === state)
  );
}

async function named(runner: Runner, key: string): Promise<LeaseId | undefined> {
  const found = await runner.ask((client) => client.get(key));
  const id = `lease_${found ?? ""}`;
  return isId("lease", id) ? id : undefined;
}

async function single(runner: Runner, filter: LeaseFilter, id: LeaseId | undefined): Promise<Page<Lease>> {
  const items = id === undefined ? [] : (await readMany(runner, bucketOfId(id), [bare(id)])).filter((lease) => matches(lease, filter));
  return { items, nextCursor: undefined };
}

async function byTask(runner: Runner, filter: LeaseFilter, cursor: string | undefined, limit: number): Promise<Page<Lease>> {
  const task = filter.task;
  if (!isId("task", task)) return { items: [], nextCursor: undefined };
  const from = readCursor(cursor)?.at ?? "0";
  const [next, flat] = await runner.ask((client) => client.hscan(recordKey("tl", task), from, "COUNT", limit));
  const items = (await readMany(runner, bucketOfId(task), fieldsOf(flat))).filter((lease) => matches(lease, filter));
  return { items, nextCursor: next === "0" ? undefined : cursorOf({ bucket: 0, at: next }) };
}

async function byWorkload(
  runner: Runner,
  filter: LeaseFilter,
  workload: string,
  cursor: string | undefined,
  limit: number,
): Promise<Page<Lease>> {
  const subjects = [...(await subjectsOf(runner, workload))].sort();
  const { workload: _all, ...rest } = filter;
  return byMembers(
    runner,
    rest,
    subjects.map((subject) => [bucketOfSubject(subject), `${placeKey(bucketOfSubject(subject))}:w:${subject}`]),
    async (key, at, count) => {
      const [next, flat] = await runner.ask((client) => client.hscan(key, at, "COUNT", count));
      return [next, fieldsOf(flat)];
    },
    cursor,
    limit,
  );
}

/** The fields of a hash that HSCAN answers flat. */
export const fieldsOf = (flat: readonly string[]): string[] => flat.filter((_, index) => index % 2 === 0);

type Scan = (key: string, at: string, count: number) => Promise<readonly [next: string, ids: readonly string[]]>;

/** Along a list of collections, each in its bucket; the cursor remembers which one and how far. */
async function byMembers(
  runner: Runner,
  filter: LeaseFilter,
  sets: readonly (readonly [number, string])[],
  scan: Scan,
  cursor: string | undefined,
  limit: number,
): Promise<Page<Lease>> {
  const start = readCursor(cursor) ?? { bucket: 0, at: "0" };
  const items: Lease[] = [];
  let looked = 0;
  for (let index = start.bucket; index < sets.length; index++) {
    const [bucket, key] = sets[index] ?? [0, ""];
    let at = index === start.bucket ? start.at : "0";
    do {
      const [next, ids] = await scan(key, at, Math.min(limit, 100));
      items.push(...(await readMany(runner, bucket, ids)).filter((lease) => matches(lease, filter)));
      looked += Math.max(ids.length, 1);
      at = next;
      const more = at !== "0" ? { bucket: index, at } : index + 1 < sets.length ? { bucket: index + 1, at: "0" } : undefined;
      if (items.length >= limit || looked >= LOOK_AT) return { items, nextCursor: more === undefined ? undefined : cursorOf(more) };
    } while (at !== "0");
  }
  return { items, nextCursor: undefined };
}

/** Along the due index, or those used after their end. */
async function byScore(
  runner: Runner,
  filter: LeaseFilter,
  index: "due" | "ua",
  cursor: string | undefined,
  limit: number,
): Promise<Page<Lease>> {
  const start = readCursor(cursor) ?? { bucket: 0, at: "" };
  const items: Lease[] = [];
  let looked = 0;
  for (let bucket = start.bucket; bucket < ALL_BUCKETS.length; bucket++) {
    let at: string | undefined = bucket === start.bucket ? start.at : "";
    while (at !== undefined) {
      const page = await walkByScore(runner, `${placeKey(bucket)}:${index}`, at, Math.min(limit - items.length, 200));
      items.push(...(await readMany(runner, bucket, page.members)).filter((lease) => matches(lease, filter)));
      looked += Math.max(page.members.length, 1);
      at = page.next;
      if (items.length >= limit || looked >= LOOK_AT) {
        const more = at !== undefined ? { bucket, at } : bucket + 1 < ALL_BUCKETS.length ? { bucket: bucket + 1, at: "" } : undefined;
        return { items, nextCursor: more === undefined ? undefined : cursorOf(more) };
      }
    }
  }
  return { items, nextCursor: undefined };
}

/** Reads leases of one bucket with its marks, so that a revoked one is never shown alive. */
export async function readMany(runner: Runner, bucket: number, ids: readonly string[]): Promise<Lease[]> {
  if (ids.length === 0) return [];
  const rows = await recordsOf(runner, bucket, "l", ids);
  const marks = await readMarks(runner, bucket);
  return rows.flatMap((text, index) => (text === null ? [] : [readStanding(ids[index] ?? "", text, marks).lease]));
}
