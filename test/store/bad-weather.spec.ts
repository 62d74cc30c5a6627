import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { newId, subjectBits, type LeaseId } from "../../domain/ids.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { eventually } from "../support/events.ts";
import { openOrder, storeClock } from "../support/orders.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { startSentinel } from "../support/sentinel.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";

const ENDED = { action: "lease.ended", principal: "test" } as const;

describe("a store whose Redis misbehaves", () => {
  let redis: TestRedis;
  let store: OpenedStore;
  let clock: FakeClock;
  beforeEach(async () => {
    redis = await startRedis({ aof: true });
    clock = fakeClock();
    store = await openStore({ url: redis.url, clock: storeClock(clock) });
  });
  afterEach(async () => {
    redis.resume();
    await store.close();
    await redis[Symbol.asyncDispose]();
  });
  const obtain = async (from = store): Promise<LeaseId> => {
    const reply = await from.leases.open(openOrder(clock));
    if (reply.outcome !== "opened") throw new Error(JSON.stringify(reply));
    return reply.lease.id;
  };

  it("opens one lease, counts one budget and spends one piece of evidence however many replies are lost", async () => {
    await using proxy = await startTcpProxy({ path: redis.socket ?? "" });
    const through = await openStore({ url: `redis://127.0.0.1:${proxy.port}`, clock: storeClock(clock) });
    for (let round = 0; round < 10; round++) {
      proxy.loseNextReply();
      expect(await through.leases.open(openOrder(clock, "github:1", { limits: { active: 100, perHour: 100 } }))).toMatchObject({
        outcome: "opened",
      });
    }
    expect(await through.leases.counts()).toMatchObject({ opened: 10, byState: { active: 10 } });
    await through.close();
  });

  it("answers within two seconds while Redis hangs, and is well again when Redis is", async () => {
    await obtain();
    redis.pause();
    const started = performance.now();
    await expect(store.leases.open(openOrder(clock))).rejects.toMatchObject({ code: "store_unavailable" });
    expect(performance.now() - started).toBeLessThan(2500);
    redis.resume();
    expect(await eventually("Redis answers again", () => obtain())).toMatch(/^lease_/);
  });

  it("keeps an acknowledged revocation through SIGKILL of Redis", async () => {
    const ids: LeaseId[] = [];
    for (let round = 0; round < 5; round++) {
      const id = await obtain();
      await store.leases.end(id, "revoked", ENDED);
      ids.push(id);
      await redis.kill9();
      await expect(store.leases.open(openOrder(clock))).rejects.toMatchObject({ code: "store_unavailable" });
      await redis.restart();
      await eventually("Redis is back", async () => (await store.leases.get(id)) !== undefined);
      expect(await store.leases.isLive(id, undefined)).toBe(false);
    }
    for (const id of ids) expect(await store.leases.get(id)).toMatchObject({ state: "revoked" });
  });

  it("loads its scripts again after SCRIPT FLUSH", async () => {
    await obtain();
    await redis.client().script("FLUSH");
    expect(await obtain()).toMatch(/^lease_/);
  });

  it("still ends, marks and audits when memory is full, and opens nothing", async () => {
    const id = await obtain();
    await redis.client().config("SET", "maxmemory", "1mb");
    await expect(store.leases.open(openOrder(clock))).rejects.toMatchObject({
      code: "store_unavailable",
      message: expect.stringContaining("out of memory"),
    });
    expect(await store.leases.isLive(id, undefined)).toBe(true);
    expect((await store.leases.end(id, "revoked", ENDED))?.state).toBe("revoked");
    expect(await store.revocations.mark(0, { kind: "all" }, clock(), { action: "revocation.started", principal: "test" })).toBeGreaterThan(
      0,
    );
    const at = clock();
    const job = { id: newId("rev", at), state: "marking", selector: { all: true }, reason: "full", by: "operator:mara", at } as const;
    const begun = { ...job, matched: 0, ended: 0, inForceAt: undefined, lockId: undefined, endings: [] };
    await store.revocations.create(begun, 60_000);
    expect(await store.revocations.get(job.id)).toMatchObject({ id: job.id, state: "marking" });
    expect((await store.revocations.unfinished()).map(({ id: unfinished }) => unfinished)).toEqual([job.id]);
    const lock = {
      id: newId("lock", at),
      scope: { kind: "grant", name: "deploy" },
      until: at + 60_000,
      reason: "full",
      by: job.by,
      at,
    } as const;
    await store.revocations.addLock({ ...lock, message: undefined }, [], { action: "lock.added", principal: job.by });
    expect((await store.revocations.locks()).map(({ id: locked }) => locked)).toEqual([lock.id]);
    const counts = await store.leases.counts();
    expect([counts.opened, counts.byState["revoked"]]).toEqual([1, 1]);
  });

  it("says so when a record has a shape it does not know, and harms nothing", async () => {
    const id = await obtain();
    const bucket = (subjectBits("github:1") % 64).toString(16).padStart(2, "0");
    await redis.client().set(`stint:{b${bucket}}:l:${id.slice(6)}`, '{"layout":"of tomorrow"}');
    await expect(store.leases.get(id)).rejects.toMatchObject({ code: "store_unavailable" });
    await redis.client().set(`stint:{b${bucket}}:l:${id.slice(6)}`, "not json");
    await expect(store.leases.get(id)).rejects.toMatchObject({ code: "store_unavailable" });
  });

  it("recovers when all connections are cut", async () => {
    await using proxy = await startTcpProxy({ path: redis.socket ?? "" });
    const through = await openStore({ url: `redis://127.0.0.1:${proxy.port}`, clock: storeClock(clock) });
    proxy.cut();
    expect(await eventually("connected again", () => obtain(through))).toMatch(/^lease_/);
    await through.close();
  });

  it.each([
    ["may evict", ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"], "may evict leases"],
    ["has another layout", ["HSET", "stint:{meta}", "layout", "99"], "layout 99"],
  ])("refuses a Redis that %s", async (_what, [command = "", ...args], message) => {
    await redis.client().call(command, ...args);
    await expect(openStore({ url: redis.url, clock: storeClock(clock) })).rejects.toMatchObject({
      code: "store_unavailable",
      message: expect.stringContaining(message),
    });
  });

  it("refuses a Redis without an append-only file when one is required", async () => {
    await redis.client().config("SET", "appendonly", "no");
    await expect(openStore({ url: redis.url, clock: storeClock(clock), requireAof: true })).rejects.toMatchObject({
      message: expect.stringContaining("appendonly yes"),
    });
    const without = await openStore({ url: redis.url, clock: storeClock(clock) });
    expect(without.facts()).toMatchObject({ aof: false });
    await without.close();
  });

  it("says that nothing answers when nothing answers", async () => {
    await redis.kill9();
    await expect(openStore({ url: "redis://127.0.0.1:1", clock: storeClock(clock), patienceMs: 300 })).rejects.toMatchObject({
      code: "store_unavailable",
    });
    await redis.restart();
  });
});

describe("a store behind Sentinel", () => {
  it("opens leases, and again after its primary was killed", async () => {
    await using sentinel = await startSentinel();
    const clock = fakeClock();
    const store = await openStore({ url: sentinel.url, clock: storeClock(clock) });
    expect(store.facts().mode).toBe("sentinel");
    expect((await store.leases.open(openOrder(clock))).outcome).toBe("opened");
    await sentinel.primary.kill("SIGKILL");
    expect(
      await eventually("the replica is promoted", async () => (await store.leases.open(openOrder(clock))).outcome === "opened", 20_000),
    ).toBe(true);
    await store.close();
  }, 60_000);
});
