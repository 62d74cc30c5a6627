import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { newId, subjectBits } from "../../domain/ids.ts";
import type { Task } from "../../domain/task.ts";
import type { OpenTaskOrder } from "../../store/api.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { freshEvidence, openOrder, principalOf, storeClock, taskOrder } from "../support/orders.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const RETENTION = 604_800_000;
const ENDED = { action: "task.ended", principal: "test" } as const;

describe("a child task", () => {
  let redis: TestRedis;
  let store: OpenedStore;
  let clock: FakeClock;
  let subjects = 0;
  const aSubject = (): string => `github:${(subjects += 1)}`;
  const open = async (change: Partial<OpenTaskOrder> = {}, subject = aSubject()): Promise<Task> => {
    const reply = await store.tasks.open(taskOrder(clock, subject, change));
    if (reply.outcome === "refused") throw new Error(reply.code);
    return reply.task;
  };
  const leaseUnder = async (task: Task) => {
    const reply = await store.leases.open(openOrder(clock, task.subject, { task: { kind: "task", id: task.id } }));
    if (reply.outcome !== "opened") throw new Error(reply.outcome);
    return reply.lease.id;
  };
  const state = async (task: Task): Promise<string | undefined> => (await store.tasks.get(task.id))?.state;

  beforeAll(async () => {
    redis = await startRedis();
    clock = fakeClock();
    store = await openStore({ url: redis.url, clock: storeClock(clock) });
  }, 60_000);
  afterAll(async () => {
    await store.close();
    await redis.stop();
  });

  it.each(["heartbeat", "deadline", "revoked", "complete"] as const)("ends with its parent's %s, its leases too", async (by) => {
    const parent = await open({ heartbeatMs: 30_000, ttlMs: 60_000 });
    const child = await open({ parent: parent.id, ttlMs: 3_600_000 });
    const lease = await leaseUnder(child);
    clock.advance(by === "deadline" ? { minutes: 1 } : { seconds: 31 });
    await store.tasks.end(parent.id, by, undefined, ENDED, RETENTION);
    expect(await store.tasks.get(child.id)).toMatchObject({ state: "ended", endedBy: by });
    expect(await store.leases.isLive(lease, undefined)).toBe(false);
  });

  it("ends however many generations lie between", async () => {
    const family = [await open()];
    for (let generation = 1; generation <= 12; generation++) family.push(await open({ parent: family[generation - 1]?.id }));
    const [root] = family;
    if (root === undefined) throw new Error("no root");
    await store.tasks.end(root.id, "complete", "success", ENDED, RETENTION);
    expect(await Promise.all(family.map(state))).toEqual(family.map(() => "ended"));
  });

  it("is not left alive by a parent that ended between its entry and its opening", async () => {
    const parent = await open();
    await open({ parent: parent.id }); // the scripts are known from here on
    const { client } = store;
    const real = client.evalsha.bind(client) as (...args: unknown[]) => Promise<unknown>;
    let calls = 0;
    Object.assign(client, {
      evalsha: async (...args: unknown[]) => {
        calls += 1;
        const reply = await real(...args);
        if (calls !== 1) return reply;
        Object.assign(client, { evalsha: real });
        await store.tasks.end(parent.id, "revoked", undefined, ENDED, RETENTION);
        return reply;
      },
    });
    const order = taskOrder(clock, aSubject(), { parent: parent.id });
    expect(await store.tasks.open(order)).toMatchObject({ outcome: "refused", code: "task_ended" });
    expect((await store.tasks.get(order.taskId))?.state).not.toBe("open");
  });

  it("that is an implicit task joined later ends with the parent it was joined under", async () => {
    const subject = aSubject();
    const implicit = { value: "run-1", ttlMs: 3_600_000 };
    const joinable = await open({ implicit }, subject);
    const parent = await open();
    expect((await open({ implicit, parent: parent.id }, subject)).id).toBe(joinable.id);
    await store.tasks.end(parent.id, "complete", "success", ENDED, RETENTION);
    expect(await state(joinable)).toBe("ended");
  });

  it("may be entered under its own descendant, and ending still comes to an end", async () => {
    const subject = aSubject();
    const implicit = { value: "run-2", ttlMs: 3_600_000 };
    const root = await open({ implicit }, subject);
    const child = await open({ parent: root.id });
    await open({ implicit, parent: child.id }, subject);
    await store.tasks.end(root.id, "complete", "success", ENDED, RETENTION);
    expect([await state(root), await state(child)]).toEqual(["ended", "ended"]);
  });

  it("never outlives its parent, however long the way to the store took", async () => {
    const parent = await open({ ttlMs: 60_000 });
    const late = await openStore({ url: redis.url, clock: { now: () => clock.advance({ ms: 7 }), agreed: () => true, offsetMs: () => 0 } });
    const reply = await late.tasks.open(taskOrder(clock, aSubject(), { parent: parent.id, ttlMs: 3_600_000 }));
    await late.close();
    expect(reply.outcome).toBe("opened");
    if (reply.outcome === "opened") expect(reply.task.expiresAt).toBeLessThanOrEqual(parent.expiresAt);
  });

  it("of a parent with no time left is refused", async () => {
    const parent = await open({ ttlMs: 20 });
    const late = await openStore({ url: redis.url, clock: { now: () => clock.advance({ ms: 7 }), agreed: () => true, offsetMs: () => 0 } });
    const subject = aSubject();
    const order = taskOrder(clock, subject, {
      parent: parent.id,
      principal: principalOf(subject, freshEvidence(clock())),
      implicit: { value: "v", ttlMs: 3_600_000 },
      taskId: newId("task", clock(), subjectBits(subject)),
    });
    expect(await late.tasks.open(order)).toMatchObject({ outcome: "refused", code: "task_ended" });
    await late.close();
  });
});
