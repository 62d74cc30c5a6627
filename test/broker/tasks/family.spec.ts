import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { endTask } from "../../../broker/tasks/end.ts";
import type { Parts } from "../../../broker/parts.ts";
import type { TaskId } from "../../../domain/ids.ts";
import { openStore, type OpenedStore } from "../../../store/open.ts";
import { fakeClock } from "../../support/clock.ts";
import { storeClock, taskOrder } from "../../support/orders.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";

describe("ending a family of tasks", () => {
  const clock = fakeClock();
  let redis: TestRedis;
  let store: OpenedStore;
  let scripts = 0;
  /** Each task is ended and done with; where replicas are asked it is ended with their word, too. */
  let each = 2;
  let subjects = 0;
  beforeAll(async () => {
    redis = await startRedis();
    store = await openStore({ url: redis.url, clock: storeClock(clock), observe: () => void (scripts += 1) });
    if (store.facts().replicas > 0) each = 3;
  }, 60_000);
  afterAll(async () => {
    await store.close();
    await redis.stop();
  });

  const open = async (parent?: TaskId): Promise<TaskId> => {
    const reply = await store.tasks.open(taskOrder(clock, `github:${(subjects += 1)}`, { parent }));
    if (reply.outcome === "refused") throw new Error(reply.code);
    return reply.task.id;
  };
  const end = async (id: TaskId) => {
    const parts = { store, events: { publish: () => undefined }, policy: () => ({ settings: { retentionMs: 604_800_000 } }) };
    scripts = 0;
    const ending = await endTask(parts as unknown as Parts, id, "complete", "success", { principal: "test" });
    return { family: ending?.family, scripts };
  };

  it("costs two scripts a task of a long chain, and as many when it is ended again", async () => {
    const chain = [await open()];
    while (chain.length < 200) chain.push(await open(chain.at(-1)));
    const [root = "task_"] = chain;
    const first = await end(root);
    expect(first.family).toEqual(chain);
    expect(first.scripts).toBe(each * chain.length);
    expect(await end(root)).toEqual(first);
  });

  it("costs two scripts a child, however many there are", async () => {
    const parent = await open();
    const children = await Promise.all(Array.from({ length: 100 }, () => open(parent)));
    const { family, scripts: cost } = await end(parent);
    expect(new Set(family)).toEqual(new Set([parent, ...children]));
    expect(cost).toBe(each * (children.length + 1));
  });

  it("tells of none that was entered and never opened", async () => {
    const parent = await open();
    const spent = taskOrder(clock, "github:twice");
    await store.tasks.open(spent);
    // entered first, and refused then
    const again = taskOrder(clock, "github:twice", { parent, principal: spent.principal });
    expect(await store.tasks.open(again)).toMatchObject({ outcome: "refused", code: "evidence_spent" });
    expect((await end(parent)).family).toEqual([parent]);
  });
});
