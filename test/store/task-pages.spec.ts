import { describe, expect, it } from "@jest/globals";
import { bucketOfId, type LeaseId, type TaskId } from "../../domain/ids.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { fakeClock } from "../support/clock.ts";
import { eventually } from "../support/events.ts";
import { openOrder, storeClock, taskOrder } from "../support/orders.ts";
import { startRedis } from "../support/redis.ts";

const SAID = { action: "task.ended", principal: "test" } as const;
const OUTSIDE = { state: "pending", issuer: "database", revocation: "immediate", keyId: undefined } as const;
const clock = fakeClock();

/** A task of this many leases, each `every`th of an issuer whose target must be called. */
async function taskWith(
  store: OpenedStore,
  count: number,
  every: number,
): Promise<{ id: TaskId; leases: LeaseId[]; outside: Set<LeaseId> }> {
  const opened = await store.tasks.open(taskOrder(clock, "github:1"));
  if (opened.outcome === "refused") throw new Error(opened.code);
  const orders = Array.from({ length: count }, (_, index) =>
    openOrder(clock, "github:1", { task: { kind: "task", id: opened.task.id }, ...(index % every === 0 ? OUTSIDE : {}) }),
  );
  for (const reply of await Promise.all(orders.map((order) => store.leases.open(order)))) expect(reply.outcome).toBe("opened");
  const outside = new Set(orders.filter(({ state }) => state === "pending").map(({ leaseId }) => leaseId));
  return { id: opened.task.id, leases: orders.map(({ leaseId }) => leaseId), outside };
}

describe("ending a task with many leases", () => {
  it.each([
    ["a hundred", 100, 3],
    ["as many as a small hash has", 512, 3],
    ["that all wait for their target", 300, 1],
    ["of a large hash", 1_500, 3],
  ])("%s ends all of them, about a hundred a script", async (_what, count, every) => {
    await using redis = await startRedis();
    const store = await openStore({ url: redis.url, clock: storeClock(clock) });
    const { id, leases, outside } = await taskWith(store, count, every);
    const before = (await store.audit.read(bucketOfId(id), 0, 5_000)).length;
    const ended = await store.tasks.end(id, "complete", "success", SAID, 604_800_000);
    expect(ended?.revoking).toEqual(outside);
    const records = (await store.audit.read(bucketOfId(id), 0, 5_000)).slice(before);
    const pages = records.map((record) => (record["leases"] ?? []) as string[]);
    expect(Math.max(...pages.map((page) => page.length))).toBeLessThan(150);
    expect(pages.flat().toSorted()).toEqual(leases.toSorted());
    await store.close();
  });

  it("leaves none alive when Redis starts anew between two scripts", async () => {
    await using redis = await startRedis({ aof: true });
    const store = await openStore({ url: redis.url, clock: storeClock(clock) });
    const { id, leases, outside } = await taskWith(store, 900, 3);
    const real = store.client.evalsha.bind(store.client) as (...args: unknown[]) => Promise<unknown>;
    let scripts = 0;
    Object.assign(store.client, {
      evalsha: async (...args: unknown[]) => {
        const reply = await real(...args);
        if ((scripts += 1) !== 4) return reply;
        await redis.restart();
        await eventually("Redis is back", () => store.ping().then(() => true));
        return reply;
      },
    });
    const ended = await store.tasks.end(id, "complete", "success", SAID, 604_800_000);
    expect(ended?.revoking).toEqual(outside);
    expect((await Promise.all(leases.map((lease) => store.leases.isLive(lease, undefined)))).filter(Boolean)).toEqual([]);
    await store.close();
  });
});
