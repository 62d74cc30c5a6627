import type { AuditFacts } from "../domain/audit-event.ts";
import { bucketOfId, bucketOfSubject, type LeaseId, type LockId } from "../domain/ids.ts";
import type { Lease } from "../domain/lease.ts";
import type { LeaseEnding, Lock, MarkScope, Page, RevocationJob, RevocationStore } from "./api.ts";
import { ALL_BUCKETS, bare, placeKey, recordKey } from "./keyspace.ts";
import { fieldsOf, readMany } from "./lease-list.ts";
import { scopeField } from "./marks.ts";
import { pipelined } from "./pipeline.ts";
import { endingOf, placeOf, readLease } from "./records.ts";
import { texts, type Runner } from "./run.ts";
import { cursorOf, readCursor, walkByScore } from "./walk.ts";
import { subjectsOf } from "./workloads.ts";

/** Marks, the jobs that clean up behind them, and locks. */
export function createRevocationStore(runner: Runner): RevocationStore {
  return {
    subjectsOf: (workload) => subjectsOf(runner, workload),
    async create(job, retentionMs) {
      const { endings: _none, ...record } = job;
      const args = { id: bare(job.id), job: JSON.stringify(record), at: job.at, retention: retentionMs };
      await runner.run("create-revocation", bucketOfId(job.id), args);
    },
    get: (id) => readJob(runner, id),
    list: (cursor, limit) => listJobs(runner, cursor, limit),
    async unfinished() {
      const replies = await pipelined(runner, ALL_BUCKETS, (pipe, bucket) => pipe.smembers(`${placeKey(bucket)}:ro`));
      const jobs = await Promise.all(replies.flatMap(([ids]) => (ids as string[]).map((id) => readJob(runner, `rev_${id}`))));
      return jobs.filter((job) => job !== undefined && job.state !== "done").map((job) => job as RevocationJob);
    },
    async progress(id, retentionMs, change) {
      const { closed = [], waiting = [] } = change.page ?? {};
      const [matched, ended] = texts(
        await runner.run("append-revocation", bucketOfId(id), {
          id: bare(id),
          state: change.state ?? "",
          matched: change.matched ?? 0,
          ended: change.ended ?? 0,
          first: closed[0] === undefined ? "" : bare(closed[0]),
          closed: closed.length,
          in_force_at: change.inForceAt ?? 0,
          waiting: waiting.length === 0 ? "" : JSON.stringify(waiting.map(bare)),
          endings:
            change.endings === undefined || change.endings.length === 0
              ? ""
              : JSON.stringify(change.endings.map((ending) => JSON.stringify(ending))),
          retention: retentionMs,
        }),
      );
      return { matched: Number(matched), ended: Number(ended) };
    },
    async instant(buckets) {
      const rows = await pipelined(runner, buckets, (pipe, bucket) => pipe.hget(placeKey(bucket), "hw"));
      // Clocks of brokers differ by less than a trip takes, but they do: a bucket's own time may be ahead of ours.
      return Math.max(Math.ceil(runner.clock.now()), ...rows.map(([highest]) => Number(highest ?? 0)));
    },
    mark: (bucket, scope, at, audit) => mark(runner, bucket, scope, at, audit),
    endMarked: (bucket, scope, at, audit, limit, cursor) => endMarked(runner, bucket, scope, at, audit, limit, cursor),
    count: (bucket, scope, cursor) => count(runner, bucket, scope, cursor),
    addLock: (lock, subjects, audit) => addLock(runner, lock, subjects, audit),
    removeLock: (id, audit) => removeLock(runner, id, audit),
    locks: async () => (await registry(runner)).map(({ lock }) => lock),
  };
}

async function mark(runner: Runner, bucket: number, scope: MarkScope, at: number, audit: AuditFacts): Promise<number> {
  return Number(await runner.run("mark", bucket, { scope: scopeField(scope), mark: Math.ceil(at), said: JSON.stringify(audit) }));
}

async function readJob(runner: Runner, id: RevocationJob["id"]): Promise<RevocationJob | undefined> {
  const text = await runner.ask((client) => client.get(recordKey("r", id)));
  if (text === null) return undefined;
  const rows = await runner.ask((client) => client.lrange(recordKey("re", id), 0, 999));
  // A page whose reply was lost, or that was walked again after a crash, is listed twice; its later word counts.
  const endings = new Map(rows.map((row) => JSON.parse(row) as LeaseEnding).map((ending) => [ending.leaseId, ending]));
  return { ...(JSON.parse(text) as Omit<RevocationJob, "endings">), endings: [...endings.values()] };
}

async function listJobs(runner: Runner, cursor: string | undefined, limit: number): Promise<Page<RevocationJob>> {
  const start = readCursor(cursor) ?? { bucket: 0, at: "" };
  const items: RevocationJob[] = [];
  for (let bucket = start.bucket; bucket < ALL_BUCKETS.length; bucket++) {
    let at: string | undefined = bucket === start.bucket ? start.at : "";
    while (at !== undefined) {
      const page = await walkByScore(runner, `${placeKey(bucket)}:rs`, at, limit - items.length);
      for (const id of page.members) {
        const job = await readJob(runner, `rev_${id}`);
        if (job !== undefined) items.push(job);
      }
      at = page.next;
      if (items.length >= limit) {
        const more = at !== undefined ? { bucket, at } : bucket + 1 < ALL_BUCKETS.length ? { bucket: bucket + 1, at: "" } : undefined;
        return { items, nextCursor: more === undefined ? undefined : cursorOf(more) };
      }
    }
  }
  return { items, nextCursor: undefined };
}

/** The place of a scope in a lease's record; 0 covers everything. */
function placeOfScope(scope: MarkScope): { place: number; name: string; subject: string } {
  if (scope.kind === "all") return { place: 0, name: "", subject: "" };
  if (scope.kind === "workload") return { place: placeOf("subject"), name: scope.name, subject: scope.name };
  return { place: placeOf(scope.kind === "key" ? "keyId" : scope.kind), name: scope.name, subject: "" };
}

async function endMarked(
  runner: Runner,
  bucket: number,
  scope: MarkScope,
  at: number,
  audit: AuditFacts,
  limit: number,
  cursor: string | undefined,
): Promise<{ endings: LeaseEnding[]; revoking: LeaseId[]; nextCursor: string | undefined }> {
  const reply = texts(
    await runner.run("end-marked", bucket, {
      ...placeOfScope(scope),
      mark: at,
      limit: Math.min(limit, 100),
      cursor: cursor ?? "",
      said: JSON.stringify(audit),
    }),
  );
  const endings: LeaseEnding[] = [];
  const revoking: LeaseId[] = [];
  for (let index = 1; index + 1 < reply.length; index += 2) {
    const stored = readLease(reply[index] ?? "", reply[index + 1] ?? "", false);
    endings.push(endingOf(stored));
    if (stored.lease.state !== "revoked") revoking.push(stored.lease.id);
  }
  return { endings, revoking, nextCursor: reply[0] === "" ? undefined : reply[0] };
}

async function count(
  runner: Runner,
  bucket: number,
  scope: MarkScope,
  cursor: string | undefined,
): Promise<{ leases: Lease[]; nextCursor: string | undefined }> {
  const live = (leases: readonly Lease[]): Lease[] =>
    leases.filter(
      (lease) =>
        lease.state !== "revoked" &&
        lease.state !== "forced" &&
        (scope.kind === "all" ||
          (scope.kind === "workload" ? lease.subject === scope.name : scope.kind === "key" || lease[scope.kind] === scope.name)),
    );
  if (scope.kind === "workload") {
    const [next, flat] = await runner.ask((client) => client.hscan(`${placeKey(bucket)}:w:${scope.name}`, cursor ?? "0", "COUNT", 500));
    return { leases: live(await readMany(runner, bucket, fieldsOf(flat))), nextCursor: next === "0" ? undefined : next };
  }
  const page = await walkByScore(runner, `${placeKey(bucket)}:due`, cursor ?? "", 500);
  return { leases: live(await readMany(runner, bucket, page.members)), nextCursor: page.next };
}

// Locks: one registry for people, and a field in every bucket that must refuse. The registry comes first, so that whatever a crash
// leaves behind is listed and can be taken away.
interface Registered {
  readonly lock: Lock;
  readonly fields: readonly (readonly [number, string])[];
}
const REGISTRY = `${placeKey("meta")}:locks`;

async function addLock(runner: Runner, lock: Lock, subjects: readonly string[], audit: AuditFacts): Promise<void> {
  const own = lock.scope.kind === "workload" && subjects.length === 1 && subjects[0] === lock.scope.name;
  const fields: [number, string][] = own ? [] : ALL_BUCKETS.map((bucket) => [bucket, scopeField(lock.scope)]);
  for (const subject of subjects) fields.push([bucketOfSubject(subject), `workload:${subject}`]);
  const registered: Registered = { lock, fields };
  await runner.run("register-lock", "meta", { id: lock.id, body: JSON.stringify(registered) });
  const body = JSON.stringify({ id: lock.id, until: lock.until, ...(lock.message === undefined ? {} : { message: lock.message }) });
  await Promise.all(
    fields.map(([bucket, scope], index) => runner.run("set-lock", bucket, { scope, body, said: index === 0 ? JSON.stringify(audit) : "" })),
  );
}

async function removeLock(runner: Runner, id: LockId, audit: AuditFacts): Promise<Lock | undefined> {
  const found = (await registry(runner)).find(({ lock }) => lock.id === id);
  if (found === undefined) return undefined;
  await Promise.all(
    found.fields.map(([bucket, scope], index) =>
      runner.run("remove-lock", bucket, { scope, id, said: index === 0 ? JSON.stringify(audit) : "" }),
    ),
  );
  await runner.ask((client) => client.hdel(REGISTRY, id));
  return found.lock;
}

/** Locks in force; what has run out is forgotten on the way. */
async function registry(runner: Runner): Promise<Registered[]> {
  const rows = Object.values(await runner.ask((client) => client.hgetall(REGISTRY))).map((text) => JSON.parse(text) as Registered);
  const over = rows.filter(({ lock }) => lock.until <= runner.clock.now());
  for (const { lock, fields } of over) {
    await Promise.all(fields.map(([bucket, scope]) => runner.run("remove-lock", bucket, { scope, id: lock.id, said: "" })));
    await runner.ask((client) => client.hdel(REGISTRY, lock.id));
  }
  return rows.filter((row) => !over.includes(row));
}
