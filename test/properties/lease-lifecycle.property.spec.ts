import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import type { Redis } from "ioredis";
import { BUCKETS, bucketOfSubject, instantOf, type LeaseId, type TaskId } from "../../domain/ids.ts";
import { TRANSITIONS, type Lease, type LeaseState } from "../../domain/lease.ts";
import type { DueLease } from "../../store/api.ts";
import { placeKey } from "../../store/keyspace.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { denialOf, openOrder, storeClock, taskOrder } from "../support/orders.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

// Random histories of the whole life of leases against real Redis. After every step each lease is read back and held against what
// must always hold; at the end the world becomes well again, and every lease must come to its end without a person's help.

const RETENTION = 604_800_000;
const SUBJECTS = ["github:1", "github:2", "spiffe:3"] as const;
const GRANTS = ["deploy", "read"] as const;
const PLACES = [...new Set(SUBJECTS.map(bucketOfSubject))];

/** What the history knows of a lease: enough to say when it must be dead, and when it must be alive. */
interface Known {
  readonly id: LeaseId;
  readonly subject: string;
  readonly grant: string;
  readonly task: TaskId;
  active: boolean;
  ended: boolean;
  expiresAt: number;
  seen: LeaseState;
}

/** The clock of broker and store, and whether they agree. */
interface Clocks {
  readonly broker: FakeClock;
  agree: boolean;
}

class World {
  readonly store: OpenedStore;
  readonly clock: FakeClock;
  readonly #clocks: Clocks;
  readonly leases: Known[] = [];
  readonly claims: DueLease[] = [];
  readonly tasks = new Set<TaskId>();
  readonly marks: { readonly scope: string; readonly bucket: number; readonly at: number }[] = [];
  /** The latest time each bucket was told by a script that opened or renewed something there. */
  readonly told = new Map<number, number>();
  /** The latest time any bucket may have heard of. */
  highest: number;
  constructor(store: OpenedStore, clocks: Clocks) {
    this.store = store;
    this.#clocks = clocks;
    this.clock = clocks.broker;
    this.highest = clocks.broker();
  }
  get agreed(): boolean {
    return this.#clocks.agree;
  }
  set agreed(agree: boolean) {
    this.#clocks.agree = agree;
  }
  heard(): void {
    if (this.agreed) this.highest = Math.max(this.highest, this.clock());
  }
  tell(subject: string): void {
    const bucket = bucketOfSubject(subject);
    this.told.set(bucket, Math.max(this.told.get(bucket) ?? 0, this.clock()));
  }
  /** Time going back revives nothing: what a bucket has once been told, it remembers. */
  dead(known: Known): boolean {
    const home = bucketOfSubject(known.subject);
    const now = Math.max(this.clock(), this.told.get(home) ?? 0);
    const marked = this.marks.some(
      ({ scope, bucket, at }) =>
        bucket === home && instantOf(known.id) <= at && (scope === "all" || scope === known.subject || scope === known.grant),
    );
    return !known.active || known.ended || known.expiresAt <= now || marked;
  }
}

type Step = (world: World) => Promise<void>;
const pick = <T>(list: readonly T[], index: number): T | undefined => (list.length === 0 ? undefined : list[index % list.length]);

const open =
  (subject: string, grant: string, outside: boolean, ttlMs: number, joins: boolean, twice: boolean): Step =>
  async (world) => {
    const order = openOrder(world.clock, subject, {
      grant,
      ttlMs,
      maxTtlMs: ttlMs * 2,
      limits: { active: 4, perHour: undefined },
      task: joins ? { kind: "implicit", value: "run" } : { kind: "own" },
      ...(outside ? { state: "pending", issuer: "database", revocation: "immediate" } : {}),
    });
    const first = await world.store.leases.open(order);
    if (first.outcome !== "opened") return;
    expect(world.agreed).toBe(true);
    const reply = twice ? await world.store.leases.open(order) : first; // the first reply was lost
    if (reply.outcome !== "opened") throw new Error("a repeated open answered otherwise");
    expect(reply.lease.expiresAt).toBeLessThanOrEqual(reply.task.expiresAt);
    const { id, expiresAt, state } = reply.lease;
    world.tasks.add(reply.task.id);
    world.tell(subject);
    world.leases.push({ id, subject, grant, task: reply.task.id, active: !outside, ended: false, expiresAt, seen: state });
  };

const activate =
  (index: number): Step =>
  async (world) => {
    const known = pick(world.leases, index);
    if (known === undefined) return;
    const done = await world.store.leases.activate(known.id, { handle: "sealed", externalName: undefined });
    if (done === "activated") known.active = true;
    else known.ended = true;
  };

const renew =
  (index: number, ttlMs: number): Step =>
  async (world) => {
    const known = pick(world.leases, index);
    if (known === undefined) return;
    const before = await world.store.leases.get(known.id);
    const reply = await world.store.leases.renew({
      id: known.id,
      taskId: known.task,
      keyId: "key-2",
      jti: "renewed",
      ttlMs,
      limitedBy: "asked",
      audit: { action: "lease.renewed", principal: known.subject },
      denial: denialOf(world.clock(), known.subject),
      retentionMs: RETENTION,
    });
    if (reply.outcome !== "renewed") return;
    expect(world.dead(known)).toBe(false);
    world.tell(known.subject);
    expect(reply.lease.expiresAt).toBeGreaterThanOrEqual(before?.expiresAt ?? 0);
    known.expiresAt = reply.lease.expiresAt;
  };

const release =
  (index: number): Step =>
  async (world) => {
    const known = pick(world.leases, index);
    if (known === undefined) return;
    await world.store.leases.end(known.id, "released", { action: "lease.ended", principal: known.subject });
    known.ended = true;
  };

async function taskEnded(world: World, id: TaskId, by: "complete" | "deadline" | "heartbeat"): Promise<void> {
  const done = await world.store.tasks.end(id, by, undefined, { action: "task.ended", principal: "test" }, RETENTION);
  if (done?.task.state !== "ended") return;
  for (const known of world.leases) if (done.family.has(known.task)) known.ended = true;
}

const endTask =
  (index: number): Step =>
  async (world) => {
    const task = pick([...world.tasks], index);
    if (task !== undefined) await taskEnded(world, task, "complete");
  };

const openTask =
  (subject: string, heartbeat: boolean): Step =>
  async (world) => {
    const reply = await world.store.tasks.open(
      taskOrder(world.clock, subject, { heartbeatMs: heartbeat ? 30_000 : undefined, parent: pick([...world.tasks], 0) }),
    );
    if (reply.outcome !== "refused") world.tasks.add(reply.task.id);
  };

const mark =
  (kind: "workload" | "grant" | "all", subject: string, grant: string): Step =>
  async (world) => {
    const name = kind === "workload" ? subject : grant;
    const buckets = kind === "workload" ? [bucketOfSubject(subject)] : PLACES;
    for (const bucket of buckets) {
      // It holds from the bucket's own time on, which never goes back.
      const at = await world.store.revocations.mark(bucket, kind === "all" ? { kind } : { kind, name }, world.clock(), {
        action: "revocation.started",
        principal: "test",
      });
      expect(at).toBeGreaterThanOrEqual(world.clock());
      world.marks.push({ scope: kind === "all" ? "all" : name, bucket, at });
    }
  };

/** A sweeper that may die after claiming, fail at the target, or wake up late with old claims. */
const sweep =
  (how: "works" | "dies" | "fails" | "late"): Step =>
  async (world) => {
    for (const bucket of PLACES) {
      for (const { id, by } of await world.store.tasks.due(bucket, 20))
        await taskEnded(world, id, by === "heartbeat" || by === "complete" ? by : "deadline");
      const { claimed } = await world.store.leases.claimDue(bucket, 100, "allowed");
      if (how === "dies") world.claims.push(...claimed);
      else for (const claim of claimed) await finish(world, claim, how);
    }
    if (how === "late") for (const claim of world.claims.splice(0)) await finish(world, claim, "works");
  };

async function finish(world: World, { lease, epoch }: DueLease, how: "works" | "fails" | "late"): Promise<void> {
  if (how === "fails")
    await world.store.leases.postpone(lease.id, epoch, { delayMs: 5000, error: "target is down", stuck: lease.attempts > 2 });
  else await world.store.leases.settle(lease.id, epoch, "revoked");
}

const jump =
  (ms: number): Step =>
  (world) => {
    world.clock.advance({ ms });
    world.heard();
    return Promise.resolve();
  };

const part = (): Step => (world) => {
  world.agreed = !world.agreed;
  world.heard();
  return Promise.resolve();
};

const subject = fc.constantFrom(...SUBJECTS);
const grant = fc.constantFrom(...GRANTS);
const index = fc.nat(50);
const HOUR = 3_600_000;
/** A step under its name, so that a counterexample reads like a story. */
type Named = readonly [name: string, run: Step];
const named = ([name, run]: Named): Named => Object.assign([name, run] as const, { [fc.toStringMethod]: () => name });
const step: fc.Arbitrary<Named> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(subject, grant, fc.boolean(), fc.integer({ min: 5000, max: 900_000 }), fc.boolean(), fc.boolean())
      .map((a): Named => [`open ${a.join()}`, open(...a)]),
  },
  { weight: 4, arbitrary: index.map((i): Named => [`activate ${i}`, activate(i)]) },
  { weight: 2, arbitrary: fc.tuple(index, fc.integer({ min: 1000, max: HOUR })).map((a): Named => [`renew ${a.join()}`, renew(...a)]) },
  { weight: 2, arbitrary: index.map((i): Named => [`release ${i}`, release(i)]) },
  { weight: 2, arbitrary: index.map((i): Named => [`end task ${i}`, endTask(i)]) },
  { weight: 1, arbitrary: fc.tuple(subject, fc.boolean()).map((a): Named => [`open task ${a.join()}`, openTask(...a)]) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom("workload" as const, "grant" as const, "all" as const), subject, grant)
      .map((a): Named => [`mark ${a.join()}`, mark(...a)]),
  },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom("works" as const, "dies" as const, "fails" as const, "late" as const)
      .map((how): Named => [`sweep ${how}`, sweep(how)]),
  },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 700_000 }).map((ms): Named => [`advance ${ms}`, jump(ms)]) },
  { weight: 1, arbitrary: fc.constantFrom(HOUR, -HOUR, 24 * HOUR, -24 * HOUR).map((ms): Named => [`jump ${ms}`, jump(ms)]) },
  { weight: 1, arbitrary: fc.constant<Named>(["clocks part or agree", part()]) },
);

describe("the life of a lease", () => {
  let redis: TestRedis;
  let client: Redis;
  beforeAll(async () => {
    redis = await startRedis();
    client = redis.client();
  });
  afterAll(async () => redis[Symbol.asyncDispose]());

  it("holds every invariant through any history, and comes to its end", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step.map(named), { minLength: 5, maxLength: 40 }), async (steps) => {
        await client.flushdb();
        const clocks = { broker: fakeClock(), agree: true };
        const store = await openStore({ url: redis.url, clock: storeClock(clocks.broker, () => clocks.agree) });
        const world = new World(store, clocks);
        try {
          for (const [, run] of steps) {
            await run(world);
            await holds(world);
          }
          await becomesWell(world);
        } finally {
          await store.close();
        }
      }),
      { numRuns: Number(process.env["STINT_TEST_RUNS"] ?? 100), verbose: 1 },
    );
  }, 240_000);

  /** What must be true after every step. */
  async function holds(world: World): Promise<void> {
    const alive = new Map<string, number>();
    for (const known of world.leases) {
      const lease = await world.store.leases.get(known.id);
      if (lease === undefined) throw new Error(`${known.id} is lost`);
      legal(known, lease);
      expect(lease.expiresAt).toBeLessThanOrEqual(lease.maxExpiresAt);
      if (await indexed(known)) alive.set(`${known.subject}|${known.grant}`, (alive.get(`${known.subject}|${known.grant}`) ?? 0) + 1);
      const live = await world.store.leases.isLive(known.id, undefined);
      if (world.dead(known)) expect({ id: known.id, live }).toEqual({ id: known.id, live: false });
      else if (known.expiresAt > world.highest) expect({ id: known.id, live }).toEqual({ id: known.id, live: true });
    }
    for (const name of SUBJECTS) {
      const budget = await client.hgetall(`${placeKey(bucketOfSubject(name))}:b:${name}`);
      for (const of of GRANTS)
        expect({ name, of, live: Number(budget[of] ?? 0) }).toEqual({ name, of, live: alive.get(`${name}|${of}`) ?? 0 });
    }
    const { byState, opened } = await world.store.leases.counts();
    expect(Object.values(byState).reduce((sum, count) => sum + count, 0)).toBe(opened);
    expect(opened).toBe(world.leases.length);
  }

  /** Nothing that might still be alive leaves the due set, nor its workload's index; what is over has left both. Answers "not over". */
  async function indexed(known: Known): Promise<boolean> {
    const place = placeKey(bucketOfSubject(known.subject));
    const bareId = known.id.slice("lease_".length);
    const [state = ""] = (await client.get(`${place}:l:${bareId}`)) ?? "";
    const over = state === "d" || state === "f";
    const found = {
      due: (await client.zscore(`${place}:due`, bareId)) !== null,
      listed: (await client.hexists(`${place}:w:${known.subject}`, bareId)) === 1,
    };
    expect({ id: known.id, over, ...found }).toEqual({ id: known.id, over, due: !over, listed: !over });
    return !over;
  }

  /** States move only along the table; several steps may lie between two looks. */
  function legal(known: Known, lease: Lease): void {
    const reach = new Set<LeaseState>([known.seen]);
    for (const state of reach) for (const next of TRANSITIONS[state]) reach.add(next);
    expect([...reach]).toContain(lease.state);
    known.seen = lease.state;
  }

  /** Targets work, clocks agree, time passes: nothing stays alive, nothing is left over, and the audit tells each end once. */
  async function becomesWell(world: World): Promise<void> {
    world.agreed = true;
    world.clock.set(world.highest);
    for (let round = 0; round < 4; round++) {
      world.clock.advance({ days: 1, minutes: 2 });
      world.heard();
      await sweep("works")(world);
    }
    await holds(world);
    for (const known of world.leases) expect((await world.store.leases.get(known.id))?.state).toBe("revoked");
    expect(await world.store.leases.dueBuckets()).toEqual({ leases: [], tasks: [] });
    const ends = new Map<string, number>();
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const rows = await world.store.audit.read(bucket, 0, 100_000);
      expect(rows.map((row) => row.seq)).toEqual(rows.map((_, at) => at + 1));
      for (const row of rows) {
        if ((row.action !== "leases.expired" && row.action !== "lease.ended") || row["state"] === "revoking") continue;
        for (const id of row.leases ?? (row.lease === undefined ? [] : [row.lease])) ends.set(id, (ends.get(id) ?? 0) + 1);
      }
    }
    for (const { id } of world.leases) expect({ id, ends: ends.get(id) ?? 0 }).toEqual({ id, ends: 1 });
  }
});
