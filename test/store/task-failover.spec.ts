import { describe, expect, it } from "@jest/globals";
import { Redis } from "ioredis";
import { bucketOfId, type TaskId } from "../../domain/ids.ts";
import type { Task } from "../../domain/task.ts";
import type { OpenTaskOrder } from "../../store/api.ts";
import { openStore } from "../../store/open.ts";
import { fakeClock } from "../support/clock.ts";
import { eventually } from "../support/events.ts";
import { openOrder, storeClock, taskOrder } from "../support/orders.ts";
import { startSentinel, type TestSentinel } from "../support/sentinel.ts";

const ENDED = { action: "task.ended", principal: "test" } as const;
const clock = fakeClock();

/** From here on no replica hears of what the primary is told; all have heard what came before, so either may be promoted. */
async function cutOff(sentinel: TestSentinel): Promise<void> {
  const primary = new Redis({ host: "127.0.0.1", port: sentinel.primary.port });
  await primary.set("told", "all");
  await primary.wait(sentinel.replicas.length, 5000);
  await primary.config("SET", "requirepass", "cut-off");
  await primary.call("CLIENT", "KILL", "TYPE", "replica");
  primary.disconnect();
}

/** Another becomes primary, and the one before is gone. */
async function failOver(sentinel: TestSentinel): Promise<void> {
  const watcher = new Redis({ host: "127.0.0.1", port: sentinel.sentinel.port });
  // the sentinel asks the replicas now and then, and knows none that is fit until it has
  await eventually("a replica is fit", async () => (await watcher.call("SENTINEL", "FAILOVER", "stint")) === "OK");
  await eventually("another is primary", async () => {
    const [, port] = (await watcher.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "stint")) as string[];
    return Number(port) !== sentinel.primary.port;
  });
  watcher.disconnect();
  await sentinel.primary.kill("SIGKILL");
}

describe("a family of tasks that is ended while its primary is lost", () => {
  it("has ended at the new primary once that was answered, with all that was opened there in between", async () => {
    await using sentinel = await startSentinel();
    const store = await openStore({ url: sentinel.url, clock: storeClock(clock) });
    const open = async (subject: string, change: Partial<OpenTaskOrder> = {}): Promise<Task> => {
      const reply = await store.tasks.open(taskOrder(clock, subject, change));
      if (reply.outcome === "refused") throw new Error(reply.code);
      return reply.task;
    };
    const leaseUnder = async (task: Task) => {
      const reply = await store.leases.open(openOrder(clock, task.subject, { task: { kind: "task", id: task.id } }));
      if (reply.outcome !== "opened") throw new Error(JSON.stringify(reply));
      return reply.lease.id;
    };
    const parent = await open("github:1");
    const child = await open("github:2", { parent: parent.id });
    const tasks: TaskId[] = [parent.id, child.id];
    const leases = [await leaseUnder(parent), await leaseUnder(child)];
    await cutOff(sentinel);
    const real = store.client.evalsha.bind(store.client) as (...args: unknown[]) => Promise<unknown>;
    Object.assign(store.client, {
      evalsha: async (...args: unknown[]) => {
        const reply = await real(...args);
        Object.assign(store.client, { evalsha: real });
        // the old primary has ended the parent, and said so
        await failOver(sentinel);
        await eventually("a replica follows the new primary", () => store.ping().then(() => true));
        const late = await open("github:3", { parent: parent.id });
        tasks.push(late.id);
        leases.push(await leaseUnder(late));
        return reply;
      },
    });
    await store.tasks.end(parent.id, "complete", "success", ENDED, 604_800_000);
    expect(await Promise.all(tasks.map(async (id) => (await store.tasks.get(id))?.state))).toEqual(["ended", "ended", "ended"]);
    expect(await Promise.all(leases.map((id) => store.leases.isLive(id, undefined)))).toEqual([false, false, false]);
    await store.close();
  }, 60_000);
});

describe("a due task whose end no replica hears of", () => {
  it("has ended, is looked at again after those that are due, and is done with once replicas are back", async () => {
    await using sentinel = await startSentinel();
    const store = await openStore({ url: sentinel.url, clock: storeClock(clock) });
    const opened = await store.leases.open(openOrder(clock, "github:1"));
    if (opened.outcome !== "opened") throw new Error(JSON.stringify(opened));
    const { id } = opened.task;
    const end = () => store.tasks.end(id, "deadline", undefined, ENDED, 604_800_000);
    const due = async () => (await store.tasks.due(bucketOfId(id), 10)).map((task) => task.id);
    clock.advance({ hours: 6 });
    expect(await due()).toEqual([id]);
    sentinel.replicas.forEach((replica) => replica.signal("SIGSTOP"));
    await expect(end()).rejects.toMatchObject({ code: "store_unavailable" });
    expect(await store.leases.isLive(opened.lease.id, undefined)).toBe(false);
    expect(await due()).toEqual([]);
    clock.advance({ seconds: 30 });
    expect(await due()).toEqual([id]);
    sentinel.replicas.forEach((replica) => replica.signal("SIGCONT"));
    await eventually("replicas are back", () => end());
    clock.advance({ hours: 1 });
    expect(await due()).toEqual([]);
    await store.close();
  }, 60_000);
});
