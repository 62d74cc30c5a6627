import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { systemClock } from "../../../domain/time.ts";
import { openStore, type OpenedStore } from "../../../store/open.ts";
import { startCluster, type TestCluster } from "../cluster.ts";
import { eventually } from "../events.ts";
import type { ServerProcess } from "../redis.ts";
import { startSentinel, type TestSentinel } from "../sentinel.ts";
import { Promises, type Fault, type FaultReport } from "./fault.ts";
import { judge, startLedger, type Ledger } from "./ledger.ts";

/** Rounds behind Sentinel, then in a Cluster. A round costs some ten seconds: servers wait before they call one of them dead. */
const ROUNDS = { short: { sentinel: 2, cluster: 1 }, long: { sentinel: 6, cluster: 6 } } as const;
/** A primary that came back empty would be followed by replicas that are not: never run one without files. */
const AOF = ["--appendonly", "yes", "--appendfsync", "everysec"];
const GAP_MS = 5_000;
const SLOWEST_MS = 3_500;
/** Served in peace before each round. */
const BEFORE_MS = 1_000;
const CUT_OFF_MS = 3_000;

/** Primaries die, or go on talking to clients while their replicas are cut off and then promoted. What was acknowledged stays. */
export const failover: Fault = {
  id: "F7",
  what: "the primary killed, and its replicas cut off for 3 s and one of them promoted, behind Sentinel and in a Cluster, leases opened and revoked meanwhile",
  async run(form, say) {
    const promises = new Promises();
    const behind = await sentinelRounds(ROUNDS[form].sentinel, promises, say);
    const within = await clusterRounds(ROUNDS[form].cluster, promises, say);
    if (form === "long")
      for (const [where, { gapMs, slowestMs }] of Object.entries({ "behind Sentinel": behind, "in a Cluster": within })) {
        promises.expect(slowestMs < SLOWEST_MS, `somebody ${where} waited ${slowestMs} ms for an answer`);
        promises.expect(gapMs <= GAP_MS, `nothing was acknowledged ${where} for ${gapMs} ms after a primary was killed`);
      }
    return { figures: { ...named("sentinel", behind), ...named("cluster", within) }, broken: promises.broken };
  },
};

interface Rounds {
  acknowledged: number;
  revocations: number;
  unavailable: number;
  lost: number;
  slowestMs: number;
  /** After a killed primary; a cut off one is silent for as long as it is cut off. */
  gapMs: number;
}

const named = (where: string, rounds: Rounds): FaultReport["figures"] =>
  Object.fromEntries(Object.entries(rounds).map(([name, value]) => [`${where}_${name}`, value as number]));

async function hold(store: OpenedStore, ledger: Ledger, into: Rounds, promises: Promises, where: string): Promise<void> {
  const { lost, broken } = await judge(store, ledger);
  into.acknowledged += ledger.opened.length;
  into.revocations += ledger.revoked.length;
  into.unavailable += ledger.unavailable;
  into.lost += lost;
  for (const sentence of broken) promises.expect(false, `${where}: ${sentence}`);
  into.slowestMs = Math.max(into.slowestMs, Math.round(ledger.slowestMs));
}

const none = (): Rounds => ({ acknowledged: 0, revocations: 0, unavailable: 0, lost: 0, slowestMs: 0, gapMs: 0 });

async function sentinelRounds(rounds: number, promises: Promises, say: (line: string) => void): Promise<Rounds> {
  const total = none();
  await using sentinel = await startSentinel({ args: AOF });
  const store = await openStore({ url: sentinel.url });
  try {
    for (let round = 0; round < rounds; round += 1) {
      const cutOff = round % 2 === 1;
      const load = startLedger(store, systemClock, { lanes: 16 });
      await load.healed();
      await pause(BEFORE_MS);
      const { primary, replicas } = await rolesNow(sentinel);
      if (cutOff) {
        for (const replica of replicas) replica.signal("SIGSTOP");
        await pause(CUT_OFF_MS);
        await primary.kill("SIGKILL");
        for (const replica of replicas) replica.signal("SIGCONT");
      } else await primary.kill("SIGKILL");
      await load.healed();
      const ledger = await load.stop();
      if (!cutOff) total.gapMs = Math.max(total.gapMs, Math.round(ledger.gapMs));
      await hold(store, ledger, total, promises, `Sentinel, round ${round + 1}`);
      say(`Sentinel, ${cutOff ? "cut off" : "killed"}: ${ledger.opened.length} acknowledged, silent for ${Math.round(ledger.gapMs)} ms`);
      await primary.start();
      await inStep(sentinel);
    }
  } finally {
    await store.close();
  }
  return total;
}

async function rolesNow(sentinel: TestSentinel): Promise<{ readonly primary: ServerProcess; readonly replicas: readonly ServerProcess[] }> {
  const asked = new Redis({ host: "127.0.0.1", port: sentinel.sentinel.port });
  const [, port] = (await asked.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "stint")) as string[];
  asked.disconnect();
  const all = [sentinel.primary, ...sentinel.replicas];
  const primary = all.find((server) => server.port === Number(port));
  if (primary === undefined) throw new Error("Sentinel names a primary that is none of ours");
  return { primary, replicas: all.filter((server) => server !== primary) };
}

/** The one that came back follows the one that was promoted. On a busy machine another may have been promoted meanwhile. */
async function inStep(sentinel: TestSentinel): Promise<void> {
  const follow = async (): Promise<boolean> => {
    const { primary, replicas } = await rolesNow(sentinel);
    return (await onlineReplicas(primary)) >= replicas.length;
  };
  await eventually("all follow the primary again", follow, 60_000);
}

async function onlineReplicas(primary: ServerProcess): Promise<number> {
  const client = new Redis({ host: "127.0.0.1", port: primary.port });
  try {
    return [...(await client.info("replication")).matchAll(/slave\d:.*state=online/g)].length;
  } finally {
    client.disconnect();
  }
}

async function clusterRounds(rounds: number, promises: Promises, say: (line: string) => void): Promise<Rounds> {
  const total = none();
  await using cluster = await startCluster({ replicas: 2, args: AOF });
  const store = await openStore({ url: cluster.url });
  try {
    for (let round = 0; round < rounds; round += 1) {
      const load = startLedger(store, systemClock, { lanes: 16 });
      await load.healed();
      await pause(BEFORE_MS);
      const victim = await aPrimary(cluster, round);
      const family = cluster.nodes.findIndex((node, index) => node === victim || (cluster.replicas[index] ?? []).includes(victim));
      const others = [cluster.nodes[family], ...(cluster.replicas[family] ?? [])].filter((node) => node !== undefined && node !== victim);
      const cutOff = round % 2 === 1;
      if (cutOff) {
        for (const other of others) other?.signal("SIGSTOP");
        await pause(CUT_OFF_MS);
      }
      await victim.kill("SIGKILL");
      if (cutOff) for (const other of others) other?.signal("SIGCONT");
      const began = performance.now();
      await everyBucketAnswers(store);
      const gapMs = Math.round(performance.now() - began);
      const ledger = await load.stop();
      if (!cutOff) total.gapMs = Math.max(total.gapMs, gapMs);
      await hold(store, ledger, total, promises, `Cluster, round ${round + 1}`);
      say(`Cluster, ${cutOff ? "cut off" : "killed"}: ${ledger.opened.length} acknowledged, all buckets again after ${gapMs} ms`);
      await victim.start();
      await eventually("all follow the one that was promoted", () => followed([victim, ...others]), 60_000);
    }
  } finally {
    await store.close();
  }
  return total;
}

/** A primary of the Cluster as it is now, another one each round. */
async function aPrimary(cluster: TestCluster, round: number): Promise<ServerProcess> {
  const all = [...cluster.nodes, ...cluster.replicas.flat()];
  const family = [cluster.nodes[round % 3], ...(cluster.replicas[round % 3] ?? [])];
  for (const node of all.filter((server) => family.includes(server))) if (await isPrimary(node)) return node;
  throw new Error("a part of the Cluster has no primary");
}

async function followed(family: readonly (ServerProcess | undefined)[]): Promise<boolean> {
  for (const node of family) if (node !== undefined && (await onlineReplicas(node)) === family.length - 1) return true;
  return false;
}

async function isPrimary(node: ServerProcess): Promise<boolean> {
  const client = new Redis({ host: "127.0.0.1", port: node.port });
  try {
    return (await client.info("replication")).includes("role:master");
  } finally {
    client.disconnect();
  }
}

/** Each of the buckets takes a write again. */
async function everyBucketAnswers(store: OpenedStore): Promise<void> {
  const audit = { action: "key.added", principal: "test" } as const;
  const buckets = Array.from({ length: 64 }, (_, bucket) => bucket);
  const left = new Set(buckets);
  await eventually(
    "every bucket answers",
    async () => {
      await Promise.all(
        [...left].map((bucket) =>
          store.audit.append(bucket, audit).then(
            () => left.delete(bucket),
            () => undefined,
          ),
        ),
      );
      return left.size === 0;
    },
    60_000,
  );
}
