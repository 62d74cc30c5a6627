import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import { bucketOfSubject, type LeaseId } from "../../domain/ids.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { fakeClock, type FakeClock } from "../../test/support/clock.ts";
import { storeClock } from "../../test/support/orders.ts";
import { dueOf, fill, LOUD, noteAll, SHORT_MS, trimAudit } from "./fill.ts";
import { figureOf, type Figure } from "./figures.ts";
import type { BenchOptions } from "./options.ts";
import { openRedis, type BenchRedis } from "./redis.ts";
import { sweepAll } from "./sweep-all.ts";

/** What the store alone costs, at so many live leases. */
export interface StoreReport {
  readonly leases: number;
  /** Version of the Redis it was measured on. */
  readonly redis: string;
  readonly openedPerSecond: number;
  readonly memory: MemoryReport | undefined;
  readonly sweep: SweepReport | undefined;
  readonly mark: MarkReport | undefined;
}

/** Bytes of Redis per live lease. */
export interface MemoryReport {
  /** Everything that lives as long as the lease; audit records that wait for export and spent evidence are not among it. */
  readonly perLease: number;
  /** The same without the look-up by credential: what the budget speaks of. */
  readonly byBudget: number;
  readonly budget: number;
  readonly parts: readonly { readonly part: string; readonly bytes: number }[];
}

export interface SweepReport {
  readonly due: number;
  readonly ms: number;
  readonly perSecond: number;
  readonly goalPerSecond: number;
  /** Of Redis, for each lease ended. */
  readonly redisUs: number;
  /** Looking for what is due when nothing is. */
  readonly emptyMs: Figure;
}

export interface MarkReport {
  /** Leases in force that the mark covers. */
  readonly covered: number;
  readonly ms: Figure;
  /** Inside Redis, by its own account. */
  readonly redisMs: number;
  /** Ending the covered leases behind the mark. */
  readonly cleanedPerSecond: number;
}

const BATCH = 100;
const MARKS = 50;

/** Fills a Redis of its own through the store's own scripts and measures what was asked for. */
export async function measureStore(options: BenchOptions): Promise<StoreReport | undefined> {
  const { paths, leases, say } = options;
  if (!paths.has("sweep") && !paths.has("memory") && !paths.has("mark")) return undefined;
  await using redis = await openRedis("off");
  const clock = fakeClock();
  const store = await openStore({ url: redis.url, clock: storeClock(clock) });
  try {
    const empty = await redis.usedMemory();
    say(`opening ${leases} leases`);
    const started = performance.now();
    const opened = await fill(store, clock, leases);
    const openedPerSecond = (leases * 1000) / (performance.now() - started);
    await trimAudit(store);
    const memory = paths.has("memory") ? await measureMemory(redis, empty, opened, () => noteAll(store, clock, opened)) : undefined;
    const sweep = paths.has("sweep") ? await measureSweep(redis, store, clock, leases) : undefined;
    const mark = paths.has("mark") ? await measureMark(redis, store, clock) : undefined;
    return { leases, redis: redis.version, openedPerSecond, memory, sweep, mark };
  } finally {
    await store.close();
  }
}

/** What the keys of a bucket are, by the word behind the bucket. */
const PARTS: Readonly<Record<string, string>> = {
  l: "lease record",
  due: "due index",
  w: "workload index",
  tl: "task index",
  t: "task record",
  tk: "task by its value",
  tdue: "task clock",
  cred: "look-up by credential",
  b: "budget",
  wn: "display name",
  au: "audit stream (trimmed)",
};
const SAMPLES = 200;

async function measureMemory(
  redis: BenchRedis,
  empty: number,
  opened: readonly LeaseId[],
  note: () => Promise<void>,
): Promise<MemoryReport> {
  const leases = opened.length;
  // before the look-up by credential is there: what its keys take in Redis's own tables is no part of their size
  const byBudget = ((await redis.usedMemory()) - empty) / leases;
  await note();
  const perLease = ((await redis.usedMemory()) - empty) / leases;
  const kinds = new Map<string, { count: number; sampled: number; bytes: number }>();
  for await (const keys of redis.client.scanStream({ count: 1_000 }) as AsyncIterable<string[]>) {
    const wanted: { readonly key: string; readonly kind: { sampled: number; bytes: number } }[] = [];
    for (const key of keys) {
      const name = /^stint:(?:\{[^}]+\}:)?([a-z]+)/.exec(key)?.[1] ?? "other";
      let kind = kinds.get(name);
      if (kind === undefined) kinds.set(name, (kind = { count: 0, sampled: 0, bytes: 0 }));
      kind.count += 1;
      if (kind.count <= SAMPLES || kind.count % 1_000 === 0) wanted.push({ key, kind });
    }
    await weigh(redis.client, wanted);
  }
  const parts = [...kinds].map(([name, { count, sampled, bytes }]) => ({
    part: PARTS[name] ?? name,
    bytes: (bytes / Math.max(1, sampled)) * (count / leases),
  }));
  const credential = { part: PARTS["cred"] ?? "", bytes: perLease - byBudget };
  const others = parts.filter(({ part }) => part !== credential.part);
  const rest = { part: "tables of keys and the rest", bytes: byBudget - others.reduce((sum, { bytes }) => sum + bytes, 0) };
  return { perLease, byBudget, budget: 600, parts: [...others, credential, rest].toSorted((a, b) => b.bytes - a.bytes) };
}

async function weigh(
  client: Redis,
  wanted: readonly { readonly key: string; readonly kind: { sampled: number; bytes: number } }[],
): Promise<void> {
  const pipe = client.pipeline();
  for (const { key } of wanted) pipe.memory("USAGE", key, "SAMPLES", 0);
  const replies = (await pipe.exec()) ?? [];
  for (const [index, { kind }] of wanted.entries()) {
    const bytes = replies[index]?.[1];
    if (typeof bytes !== "number") continue;
    kind.sampled += 1;
    kind.bytes += bytes;
  }
}

async function measureSweep(redis: BenchRedis, store: OpenedStore, clock: FakeClock, leases: number): Promise<SweepReport> {
  clock.advance({ ms: SHORT_MS + 1_000 });
  const due = dueOf(leases);
  const redisBefore = await redis.cpuMs();
  const started = performance.now();
  await sweepAll(store, due);
  const ms = performance.now() - started;
  const redisUs = (((await redis.cpuMs()) - redisBefore) * 1000) / due;
  const empty = await timed(20, async () => assert.equal((await store.leases.dueBuckets()).leases.length, 0));
  return { due, ms, perSecond: (due * 1000) / ms, goalPerSecond: 30_000, redisUs, emptyMs: empty };
}

async function measureMark(redis: BenchRedis, store: OpenedStore, clock: FakeClock): Promise<MarkReport> {
  const bucket = bucketOfSubject(LOUD);
  const scope = { kind: "workload", name: LOUD } as const;
  const audit = { action: "revocation.started", principal: "operator:bench" } as const;
  const [sample] = (await store.leases.list({ workload: LOUD, state: "active" }, undefined, 1)).items;
  assert.ok(sample !== undefined && (await store.leases.isLive(sample.id, undefined)), "the workload's leases are in force");
  clock.advance({ seconds: 1 });
  const at = clock();
  await redis.client.config("RESETSTAT");
  const ms = await timed(MARKS, async () => assert.ok((await store.revocations.mark(bucket, scope, at, audit)) >= at));
  const stats = await redis.client.info("commandstats");
  const redisMs = Number(/cmdstat_evalsha:.*?usec_per_call=([\d.]+)/.exec(stats)?.[1]) / 1000;
  assert.equal(await store.leases.isLive(sample.id, undefined), false, "none of them is honoured from the mark on");
  const started = performance.now();
  let covered = 0;
  let cursor: string | undefined;
  do {
    const page = await store.revocations.endMarked(bucket, scope, at, audit, BATCH, cursor);
    covered += page.endings.length;
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return { covered, ms, redisMs, cleanedPerSecond: (covered * 1000) / (performance.now() - started) };
}

async function timed(times: number, work: () => Promise<void>): Promise<Figure> {
  const each: number[] = [];
  for (let count = 0; count < times; count += 1) {
    const started = performance.now();
    await work();
    each.push(performance.now() - started);
  }
  return figureOf(each);
}
