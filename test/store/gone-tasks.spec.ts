import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { bucketOfId } from "../../domain/ids.ts";
import { recordKey } from "../../store/keyspace.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { openOrder, storeClock, taskOrder } from "../support/orders.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const ENDED = { action: "task.ended", principal: "test" } as const;

describe("a due task whose record is gone", () => {
  let redis: TestRedis;
  let store: OpenedStore;
  let clock: FakeClock;
  const subject = "github:1";

  beforeAll(async () => {
    redis = await startRedis();
    clock = fakeClock();
    store = await openStore({ url: redis.url, clock: storeClock(clock) });
  }, 60_000);
  afterAll(async () => {
    await store.close();
    await redis.stop();
  });

  it("leaves the due set when its end is asked for, so that it stands in nobody's way; its leases end by their own time", async () => {
    const opened = await store.tasks.open(taskOrder(clock, subject));
    if (opened.outcome === "refused") throw new Error(opened.code);
    const { id } = opened.task;
    const bucket = bucketOfId(id);
    const order = openOrder(clock, subject, { task: { kind: "task", id } });
    expect(await store.leases.open(order)).toMatchObject({ outcome: "opened" });
    await redis.client().del(recordKey("t", id));
    clock.advance({ hours: 2 });
    expect(await store.tasks.due(bucket, 100)).toEqual([{ id, by: "deadline" }]);
    expect(await store.tasks.end(id, "deadline", undefined, ENDED, 604_800_000)).toBeUndefined();
    expect(await store.tasks.due(bucket, 100)).toEqual([]);
    expect(await store.leases.claimDue(bucket, 100, "allowed")).toMatchObject({ expired: 1 });
    expect(await store.leases.get(order.leaseId)).toMatchObject({ state: "revoked", endedBy: "expiry" });
  });
});
