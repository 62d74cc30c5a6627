import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { newId, subjectBits } from "../../domain/ids.ts";
import type { Lock } from "../../store/api.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { freshEvidence, openOrder, principalOf, storeClock } from "../support/orders.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const LOCKED = { action: "lock.added", principal: "operator:ann" } as const;

describe("names and locks", () => {
  let redis: TestRedis;
  let store: OpenedStore;
  let clock: FakeClock;
  let subjects = 0;
  const aSubject = (): string => `github:${(subjects += 1)}`;
  const lockOn = (grant: string, minutes: number): Lock => ({
    id: newId("lock", clock()),
    scope: { kind: "grant", name: grant },
    until: clock() + minutes * 60_000,
    reason: "test",
    message: `${minutes} minutes`,
    by: "operator:ann",
    at: clock(),
  });
  const ask = (grant: string) => store.leases.open(openOrder(clock, aSubject(), { grant }));

  beforeAll(async () => {
    redis = await startRedis();
    clock = fakeClock();
    store = await openStore({ url: redis.url, clock: storeClock(clock) });
  }, 60_000);
  afterAll(async () => {
    await store.close();
    await redis.stop();
  });

  it("keep a workload within reach of a revocation though another calls itself by its subject", async () => {
    const victim = aSubject();
    await store.leases.open(openOrder(clock, victim));
    const mallory = "generic:mallory";
    await store.leases.open(
      openOrder(clock, mallory, { principal: { ...principalOf(mallory, freshEvidence(clock())), trust: "generic", workload: victim } }),
    );
    expect([...(await store.revocations.subjectsOf(victim))].sort()).toEqual([mallory, victim].sort());
    expect((await store.leases.list({ workload: victim }, undefined, 10)).items.map(({ subject }) => subject)).toContain(victim);
  });

  it("hold a long lock in force when a shorter one of the same scope runs out", async () => {
    await store.revocations.addLock(lockOn("long-first", 60), [], LOCKED);
    await store.revocations.addLock(lockOn("long-first", 5), [], LOCKED);
    clock.advance({ minutes: 6 });
    expect(await store.revocations.locks()).toHaveLength(1);
    expect(await ask("long-first")).toMatchObject({ code: "locked", message: "60 minutes" });
  });

  it("hold one of two locks of the same scope in force when the other is taken away, whichever it is", async () => {
    for (const away of [0, 1]) {
      const grant = `two-${away}`;
      const locks = [lockOn(grant, 60), lockOn(grant, 90)];
      for (const lock of locks) await store.revocations.addLock(lock, [], LOCKED);
      const [taken, kept] = [locks[away], locks[1 - away]];
      if (taken === undefined || kept === undefined) throw new Error("two locks");
      await store.revocations.removeLock(taken.id, LOCKED);
      expect(await ask(grant)).toMatchObject({ code: "locked" });
      await store.revocations.removeLock(kept.id, LOCKED);
      expect(await ask(grant)).toMatchObject({ outcome: "opened" });
    }
  });

  it("do not sign a token again for an idempotency key while a lock stands", async () => {
    const subject = aSubject();
    const change = {
      grant: "replayed",
      principal: principalOf(subject, freshEvidence(clock())),
      idempotency: { key: "k", body: "b" },
      replay: "{}",
    };
    expect(await store.leases.open(openOrder(clock, subject, change))).toMatchObject({ outcome: "opened" });
    const lock = lockOn("replayed", 60);
    await store.revocations.addLock(lock, [], LOCKED);
    expect(await store.leases.open(openOrder(clock, subject, change))).toMatchObject({ code: "locked" });
    await store.revocations.removeLock(lock.id, LOCKED);
    expect(await store.leases.open(openOrder(clock, subject, change))).toMatchObject({ outcome: "replayed" });
  });

  it("leave no trace of a lock in its bucket when it has gone", async () => {
    const lock = lockOn("trace", 1);
    await store.revocations.addLock(lock, [], LOCKED);
    clock.advance({ minutes: 100 });
    await store.revocations.locks();
    const bucket = subjectBits("x") % 64;
    expect(await store.client.hget(`stint:{b${bucket.toString(16).padStart(2, "0")}}:locks`, "grant:trace")).toBeNull();
  });
});
