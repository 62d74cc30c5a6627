import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { eventually } from "./events.ts";
import { freePort, startServer, type ClientOptions, type ServerProcess } from "./redis.ts";

const MASTER = "stint";

/** One primary, its replicas and one sentinel (quorum 1, down after 1 s) on loopback ports. */
export interface TestSentinel extends AsyncDisposable {
  /** `redis+sentinel://127.0.0.1:port/stint` */
  readonly url: string;
  /** The primary at the start; kill it to see the replica promoted. */
  readonly primary: ServerProcess;
  readonly replicas: readonly ServerProcess[];
  readonly sentinel: ServerProcess;
  /** For `new Redis(...)`: finds the primary through the sentinel. */
  readonly options: ClientOptions;
  /** A connected client, closed with the servers. */
  client(): Redis;
  stop(): Promise<void>;
}

export interface TestSentinelOptions {
  /** Two, so that one is left beside whichever was promoted. */
  readonly replicas?: number;
  /** For primary and replicas, for example `["--appendonly", "yes"]`. */
  readonly args?: readonly string[];
}

/** Starts them; ready when the replicas are in step and the sentinel knows them. */
export async function startSentinel(options: TestSentinelOptions = {}): Promise<TestSentinel> {
  const folder = await mkdtemp(join(tmpdir(), "stint-sentinel-"));
  const at = async (name: string, args: readonly string[]): Promise<ServerProcess> => {
    await mkdir(join(folder, name));
    return startServer(join(folder, name), await freePort(), args);
  };
  const common = ["--appendonly", "no", "--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0", ...(options.args ?? [])];
  const primary = await at("primary", common);
  const names = Array.from({ length: options.replicas ?? 2 }, (_, index) => `replica-${index}`);
  const replicas = await Promise.all(names.map((name) => at(name, [...common, "--replicaof", `127.0.0.1 ${primary.port}`])));
  const sentinel = await startWatcher(join(folder, "sentinel"), primary.port);
  const servers = [sentinel, ...replicas, primary];
  const clients: Redis[] = [];
  const stop = async (): Promise<void> => {
    for (const client of clients) client.disconnect();
    await Promise.all(servers.map((server) => server.kill("SIGKILL")));
    await rm(folder, { recursive: true, force: true, maxRetries: 5 }); // a child that rewrites files outlives its parent a little
  };
  await settled(primary, sentinel, replicas.length).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const clientOptions = (): ClientOptions => ({ sentinels: [{ host: "127.0.0.1", port: sentinel.port }], name: MASTER });
  const client = (): Redis => {
    const made = new Redis(clientOptions());
    made.on("error", () => undefined);
    clients.push(made);
    return made;
  };
  const url = `redis+sentinel://127.0.0.1:${sentinel.port}/${MASTER}`;
  return {
    url,
    primary,
    replicas,
    sentinel,
    get options() {
      return clientOptions();
    },
    client,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** A sentinel is a redis-server with a configuration file that it rewrites itself. */
async function startWatcher(folder: string, primaryPort: number): Promise<ServerProcess> {
  await mkdir(folder);
  const file = join(folder, "sentinel.conf");
  const lines = [
    `sentinel monitor ${MASTER} 127.0.0.1 ${primaryPort} 1`,
    `sentinel down-after-milliseconds ${MASTER} 1000`,
    `sentinel failover-timeout ${MASTER} 5000`,
  ];
  await writeFile(file, `${lines.join("\n")}\n`);
  return startServer(folder, await freePort(), [file, "--sentinel"]);
}

async function settled(primary: ServerProcess, sentinel: ServerProcess, replicas: number): Promise<void> {
  const ask = async (port: number, fits: (info: string) => boolean, section: string): Promise<void> => {
    const client = new Redis({ host: "127.0.0.1", port });
    try {
      await eventually(`${section} on ${port} settles`, async () => fits(String(await client.call("INFO", section))), 20_000);
    } finally {
      client.disconnect();
    }
  };
  await ask(primary.port, (info) => [...info.matchAll(/slave\d:.*state=online/g)].length === replicas, "replication");
  await ask(sentinel.port, (info) => info.includes(`slaves=${replicas},`), "sentinel");
}
