import { mkdtemp, mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster, Redis } from "ioredis";
import { eventually } from "./events.ts";
import { freePort, startServer, type ServerProcess } from "./redis.ts";

const SLOTS = 16_384;

/** A Redis Cluster of three primaries on loopback ports. */
export interface TestCluster extends AsyncDisposable {
  /** `redis+cluster://127.0.0.1:p1,127.0.0.1:p2,127.0.0.1:p3` */
  readonly url: string;
  readonly ports: readonly number[];
  /** The primaries, as they were at the start. */
  readonly nodes: readonly ServerProcess[];
  /** The replicas of each, in the same order. */
  readonly replicas: readonly (readonly ServerProcess[])[];
  /** A connected client, closed with the cluster. */
  client(): Cluster;
  stop(): Promise<void>;
}

export interface TestClusterOptions {
  readonly primaries?: number;
  /** Of each primary; none unless told otherwise. */
  readonly replicas?: number;
  readonly args?: readonly string[];
}

/** Starts primaries that share the slots evenly, and their replicas; ready when all of them see the whole. */
export async function startCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const { primaries = 3, replicas = 0, args = [] } = options;
  const folder = await mkdtemp(join(tmpdir(), "stint-cluster-"));
  const started = await Promise.all(
    Array.from({ length: primaries * (1 + replicas) }, (_, index) => startNode(join(folder, `node-${index}`), args)),
  );
  const clients: Cluster[] = [];
  const stop = async (): Promise<void> => {
    for (const client of clients) client.disconnect();
    await Promise.all(started.map(({ server }) => server.kill("SIGKILL")));
    await rm(folder, { recursive: true, force: true, maxRetries: 5 }); // a child that rewrites files outlives its parent a little
  };
  await joinAll(started, primaries).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const servers = started.map(({ server }) => server);
  const nodes = servers.slice(0, primaries);
  const ports = nodes.map(({ port }) => port);
  return {
    url: `redis+cluster://${ports.map((port) => `127.0.0.1:${port}`).join(",")}`,
    ports,
    nodes,
    replicas: nodes.map((_, index) => servers.slice(primaries).filter((_server, at) => at % primaries === index)),
    client: () => {
      const client = new Cluster(ports.map((port) => ({ host: "127.0.0.1", port })));
      client.on("error", () => undefined);
      clients.push(client);
      return client;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

interface Node {
  readonly server: ServerProcess;
  readonly busPort: number;
}

async function startNode(folder: string, args: readonly string[]): Promise<Node> {
  await mkdir(folder);
  const [port, busPort] = [await freePort(), await freePort()];
  const cluster = [
    "--cluster-enabled",
    "yes",
    "--cluster-port",
    String(busPort),
    "--cluster-node-timeout",
    "2000",
    "--cluster-announce-ip",
    "127.0.0.1",
  ];
  const common = ["--appendonly", "no", "--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"];
  return { server: await startServer(folder, port, [...cluster, ...common, ...args]), busPort };
}

/** The first so many are primaries; the rest are dealt out to them in turn. */
async function joinAll(nodes: readonly Node[], primaries: number): Promise<void> {
  const admins = nodes.map(({ server }) => new Redis({ host: "127.0.0.1", port: server.port }));
  try {
    const share = Math.ceil(SLOTS / primaries);
    // only a node that has not met any other may be given an epoch
    for (const [index, admin] of admins.entries()) await admin.call("CLUSTER", "SET-CONFIG-EPOCH", index + 1);
    for (const [index, admin] of admins.entries()) {
      if (index < primaries) await admin.call("CLUSTER", "ADDSLOTSRANGE", index * share, Math.min((index + 1) * share, SLOTS) - 1);
      for (const other of nodes.slice(0, index)) await admin.call("CLUSTER", "MEET", "127.0.0.1", other.server.port, other.busPort);
    }
    const all = async (what: string, section: readonly string[], fits: (info: string) => boolean, of = admins): Promise<void> => {
      const [command = "", ...rest] = section;
      const ask = async (): Promise<boolean> => {
        const infos = await Promise.all(of.map((admin) => admin.call(command, ...rest)));
        return infos.every((info) => fits(String(info)));
      };
      await eventually(what, ask, 30_000);
    };
    const known = `cluster_known_nodes:${nodes.length}`;
    await all("every node sees the whole cluster", ["CLUSTER", "INFO"], (info) => /cluster_state:ok/.test(info) && info.includes(known));
    const ids = await Promise.all(admins.slice(0, primaries).map((admin) => admin.call("CLUSTER", "MYID")));
    for (const [index, admin] of admins.slice(primaries).entries())
      await admin.call("CLUSTER", "REPLICATE", String(ids[index % primaries]));
    const replicas = nodes.length / primaries - 1;
    const online = (info: string): boolean => [...info.matchAll(/slave\d:.*state=online/g)].length === replicas;
    await all("replicas are in step", ["INFO", "replication"], online, admins.slice(0, primaries));
    const told = (rows: string): boolean => [...rows.matchAll(/ (?:myself,)?slave /g)].length === replicas * primaries;
    await all("every node knows who replicates whom", ["CLUSTER", "NODES"], told);
  } finally {
    for (const admin of admins) admin.disconnect();
  }
}
