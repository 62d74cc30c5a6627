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
  readonly nodes: readonly ServerProcess[];
  /** A connected client, closed with the cluster. */
  client(): Cluster;
  stop(): Promise<void>;
}

/** Starts three primaries that share the slots evenly; ready when each of them says `cluster_state:ok`. */
export async function startCluster(): Promise<TestCluster> {
  const folder = await mkdtemp(join(tmpdir(), "stint-cluster-"));
  const nodes = await Promise.all([0, 1, 2].map((index) => startNode(join(folder, `node-${index}`))));
  const clients: Cluster[] = [];
  const stop = async (): Promise<void> => {
    for (const client of clients) client.disconnect();
    await Promise.all(nodes.map(({ server }) => server.kill("SIGKILL")));
    await rm(folder, { recursive: true, force: true });
  };
  await join3(nodes).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const ports = nodes.map(({ server }) => server.port);
  return {
    url: `redis+cluster://${ports.map((port) => `127.0.0.1:${port}`).join(",")}`,
    ports,
    nodes: nodes.map(({ server }) => server),
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

async function startNode(folder: string): Promise<Node> {
  await mkdir(folder);
  const [port, busPort] = [await freePort(), await freePort()];
  const cluster = ["--cluster-enabled", "yes", "--cluster-port", String(busPort), "--cluster-node-timeout", "2000"];
  const server = await startServer(folder, port, [...cluster, "--appendonly", "no", "--maxmemory-policy", "noeviction"]);
  return { server, busPort };
}

async function join3(nodes: readonly Node[]): Promise<void> {
  const admins = nodes.map(({ server }) => new Redis({ host: "127.0.0.1", port: server.port }));
  try {
    const share = Math.ceil(SLOTS / nodes.length);
    for (const [index, admin] of admins.entries()) {
      await admin.call("CLUSTER", "SET-CONFIG-EPOCH", index + 1);
      await admin.call("CLUSTER", "ADDSLOTSRANGE", index * share, Math.min((index + 1) * share, SLOTS) - 1);
      for (const other of nodes.slice(0, index)) await admin.call("CLUSTER", "MEET", "127.0.0.1", other.server.port, other.busPort);
    }
    await eventually(
      "every node sees the whole cluster",
      async () => {
        const infos = await Promise.all(admins.map((admin) => admin.call("CLUSTER", "INFO")));
        return infos.every((info) => /cluster_state:ok/.test(String(info)) && /cluster_known_nodes:3/.test(String(info)));
      },
      20_000,
    );
  } finally {
    for (const admin of admins) admin.disconnect();
  }
}
