import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { Redis } from "ioredis";
import { ALL_BUCKETS } from "../../store/keyspace.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { slotOf } from "../../store/slot.ts";
import { startCluster, type TestCluster } from "../support/cluster.ts";
import { fakeClock } from "../support/clock.ts";
import { eventually } from "../support/events.ts";
import { openOrder, storeClock } from "../support/orders.ts";
import { startRedis, type ServerProcess } from "../support/redis.ts";
import { startSentinel, type TestSentinel } from "../support/sentinel.ts";

const ENDED = { action: "lease.ended", principal: "test" } as const;
const MARKED = { action: "revocation.started", principal: "operator:ann" } as const;
const clock = fakeClock();
const away = { code: "store_unavailable", facts: { retryAfterSeconds: 2 }, message: expect.stringContaining("only 0 of the 1 replicas") };

async function obtain(store: OpenedStore, subject = "github:1") {
  const reply = await store.leases.open(openOrder(clock, subject));
  if (reply.outcome !== "opened") throw new Error(JSON.stringify(reply));
  return reply.lease.id;
}

async function commandsOf(servers: readonly ServerProcess[], reset: "reset" | "read"): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { port } of servers) {
    const client = new Redis({ host: "127.0.0.1", port });
    if (reset === "reset") await client.config("RESETSTAT");
    for (const [, name = "", calls] of (await client.info("commandstats")).matchAll(/cmdstat_(\w+):calls=(\d+)/g))
      counts[name] = (counts[name] ?? 0) + Number(calls);
    client.disconnect();
  }
  return counts;
}

describe("a store on one Redis without replicas", () => {
  it("waits for nobody", async () => {
    await using redis = await startRedis();
    const store = await openStore({ url: redis.url, clock: storeClock(clock) });
    await obtain(store);
    expect(store.facts().replicas).toBe(0);
    expect(await redis.client().info("commandstats")).not.toContain("cmdstat_wait");
    await store.close();
  });

  it("answers nothing that a replica must have, where its address asks for one", async () => {
    await using redis = await startRedis();
    const store = await openStore({ url: `${redis.url}?replicas=1`, clock: storeClock(clock) });
    await expect(obtain(store)).rejects.toMatchObject(away);
    await store.close();
  });
});

describe("a store behind Sentinel", () => {
  let sentinel: TestSentinel;
  let store: OpenedStore;
  beforeAll(async () => {
    sentinel = await startSentinel();
    store = await openStore({ url: sentinel.url, clock: storeClock(clock) });
  }, 60_000);
  afterEach(() => sentinel.replicas.forEach((replica) => replica.signal("SIGCONT")));
  afterAll(async () => {
    await store.close();
    await sentinel.stop();
  });
  const pauseReplicas = (): void => sentinel.replicas.forEach((replica) => replica.signal("SIGSTOP"));

  it("wants one of its two replicas to have what it says", async () => {
    expect(store.facts()).toMatchObject({ mode: "sentinel", replicas: 1 });
    sentinel.replicas[0]?.signal("SIGSTOP");
    expect(await obtain(store)).toMatch(/^lease_/);
  });

  it("says of no lease and no revocation that it is done while no replica has it", async () => {
    const id = await obtain(store);
    pauseReplicas();
    await expect(obtain(store)).rejects.toMatchObject(away);
    await expect(store.leases.end(id, "revoked", ENDED)).rejects.toMatchObject(away);
    await expect(store.revocations.mark(0, { kind: "grant", name: "other" }, clock(), MARKED)).rejects.toMatchObject(away);
    await expect(store.ping()).rejects.toMatchObject(away);
    sentinel.replicas.forEach((replica) => replica.signal("SIGCONT"));
    expect(await eventually("a replica is back", () => obtain(store))).toMatch(/^lease_/);
  });

  it("goes on ending and reading meanwhile", async () => {
    const id = await obtain(store, "github:7");
    const other = await obtain(store, "github:7");
    const task = (await store.leases.get(other))?.task ?? "task_";
    pauseReplicas();
    await expect(store.leases.end(id, "revoked", ENDED)).rejects.toMatchObject(away);
    expect(await store.leases.isLive(id, undefined)).toBe(false);
    await expect(store.tasks.end(task, "complete", "success", ENDED, 1000)).rejects.toMatchObject(away);
    expect(await store.tasks.get(task)).toMatchObject({ state: "ended" });
    expect(await store.leases.isLive(other, undefined)).toBe(false);
    expect(await Promise.all(ALL_BUCKETS.map((bucket) => store.leases.claimDue(bucket, 100, "allowed")))).toHaveLength(64);
  });

  it("keeps nobody's budget for a lease that nobody was told of, unless it can be asked for again", async () => {
    const limits = { active: 1, perHour: undefined };
    const key = { key: "a-key", body: "a-body" };
    const again = openOrder(clock, "github:50", { limits, idempotency: key, replay: "x" });
    pauseReplicas();
    await expect(store.leases.open(openOrder(clock, "github:51", { limits }))).rejects.toMatchObject(away);
    await expect(store.leases.open(again)).rejects.toMatchObject(away);
    sentinel.replicas.forEach((replica) => replica.signal("SIGCONT"));
    const outcome = async (order: ReturnType<typeof openOrder>) =>
      eventually("replicas are back", async () => (await store.leases.open(order).catch(() => undefined))?.outcome);
    expect(await outcome(openOrder(clock, "github:51", { limits }))).toBe("opened");
    expect(await outcome({ ...openOrder(clock, "github:50", { limits, idempotency: key }), principal: again.principal })).toBe("replayed");
  });

  it("exports no record that a failover could take back", async () => {
    pauseReplicas();
    await expect(store.audit.read(0, 0, 10)).rejects.toMatchObject(away);
  });

  it("asks replicas once for all that came together", async () => {
    await commandsOf([sentinel.primary], "reset");
    await Promise.all(Array.from({ length: 200 }, (_, index) => obtain(store, `github:${index}`)));
    const { evalsha, wait } = await commandsOf([sentinel.primary], "read");
    expect(evalsha).toBe(200);
    expect(wait).toBe(1);
  });

  it("waits for nobody where its address says so", async () => {
    const careless = await openStore({ url: `${sentinel.url}?replicas=0`, clock: storeClock(clock) });
    pauseReplicas();
    expect(await obtain(careless)).toMatch(/^lease_/);
    await careless.close();
  });
});

describe("a store on a Cluster with replicas", () => {
  let cluster: TestCluster;
  let store: OpenedStore;
  beforeAll(async () => {
    cluster = await startCluster({ replicas: 1 });
    store = await openStore({ url: cluster.url, clock: storeClock(clock) });
  }, 60_000);
  afterAll(async () => {
    await store.close();
    await cluster.stop();
  });

  it("knows each bucket's primary by itself", async () => {
    const admin = cluster.client();
    for (const key of ["stint:{b00}", "stint:{b3f}:l:1", "stint:{meta}", "stint:cred:abc", "{}odd", "a{b}{c}"])
      expect(slotOf(key)).toBe(await admin.cluster("KEYSLOT", key));
  });

  it("asks each primary's replicas once for all that came together", async () => {
    const obtainMany = () => Promise.all(Array.from({ length: 200 }, (_, index) => obtain(store, `github:${index}`)));
    await obtainMany(); // every node knows the script from here on
    await commandsOf(cluster.nodes, "reset");
    await obtainMany();
    const { evalsha, wait } = await commandsOf(cluster.nodes, "read");
    expect(evalsha).toBe(200);
    expect(wait).toBe(3);
  });

  it("refuses what belongs to a primary whose replica hangs, and nothing else", async () => {
    cluster.replicas[0]?.[0]?.signal("SIGSTOP");
    const subjects = Array.from({ length: 40 }, (_, index) => `github:${index}`);
    const results = await Promise.allSettled(subjects.map((subject) => obtain(store, subject)));
    cluster.replicas[0]?.[0]?.signal("SIGCONT");
    const refused = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(40);
    for (const reason of refused) expect(reason).toMatchObject(away);
  });
});

describe("a store that opens while a machine of a Cluster is away", () => {
  it("asks for the replica that it will be, and answers nothing that no replica has", async () => {
    await using cluster = await startCluster({ replicas: 1 });
    await cluster.nodes[0]?.kill("SIGKILL");
    const views = [1, 2].map((index) => new Redis({ host: "127.0.0.1", port: cluster.nodes[index]?.port ?? 0 }));
    const takenOver = async (view: Redis): Promise<boolean> =>
      /cluster_state:ok/.test(await view.cluster("INFO")) && /master,fail - \d+ \d+ \d+ \w+$/m.test(String(await view.cluster("NODES")));
    await eventually("its replica has taken over", async () => (await Promise.all(views.map(takenOver))).every(Boolean), 30_000);
    for (const view of views) view.disconnect();
    const store = await openStore({ url: cluster.url, clock: storeClock(clock) });
    expect(store.facts().replicas).toBe(1);
    const others = [1, 2].map((index) => cluster.replicas[index]?.[0]);
    for (const replica of others) replica?.signal("SIGSTOP");
    const opened = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => obtain(store, `github:${index}`)));
    expect(opened.filter(({ status }) => status === "fulfilled")).toEqual([]);
    for (const replica of others) replica?.signal("SIGCONT");
    await store.close();
  }, 60_000);
});
