import { spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Redis, type RedisOptions } from "ioredis";
import { ensureRedisServer } from "../../store/embedded/launch.ts";
import { eventually } from "./events.ts";
import { findValkey } from "./valkey.ts";

/** Where a client connects to; fits `new Redis(...)`. */
export type ClientOptions = Omit<RedisOptions, "replyMapping">;

/** A real Redis of this test's own. */
export interface TestRedis extends AsyncDisposable {
  /** `redis://127.0.0.1:port/db`: for a broker that is configured by URL. */
  readonly url: string;
  /** Its unix socket; undefined for a Redis named by STINT_TEST_REDIS_URL. */
  readonly socket: string | undefined;
  /** For `new Redis(redis.options)`; a fresh object each time. */
  readonly options: ClientOptions;
  /** A connected client, closed with the server. */
  client(): Redis;
  /** SIGKILL, and waits until it is gone. Files stay. */
  kill9(): Promise<void>;
  /** SIGSTOP: connected, but answers nothing. */
  pause(): void;
  resume(): void;
  /** Starts it again on the same socket, port and files. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface TestRedisOptions {
  /** Append-only file with fsync on every write, as the embedded default has. Off by default: faster. */
  readonly aof?: boolean;
  /** Further arguments of the server, for example `["--maxmemory", "8mb"]`. */
  readonly args?: readonly string[];
  /** A file that may grow no further is an error to it, as on a full disk, and not its end. */
  readonly survivesFullFiles?: boolean;
}

/**
 * Starts a private Redis in a temporary folder, on a unix socket and a loopback port. With STINT_TEST_REDIS_URL it uses that one
 * instead, in a database per Jest worker, emptied first; with STINT_TEST_REDIS_LAYOUT one behind Sentinel or a Cluster. Killing and
 * pausing then throw. No Redis at all is a failure, never a skip.
 */
export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  const given = process.env["STINT_TEST_REDIS_URL"];
  const plain = options.args === undefined && options.aof !== true;
  if (given !== undefined && given !== "" && plain) return useRedis(given);
  const layout = process.env["STINT_TEST_REDIS_LAYOUT"] ?? "";
  if (layout !== "" && plain) return (await import("./layouts.ts")).startLayout(layout);
  const folder = await mkdtemp(join(tmpdir(), "stint-redis-"));
  const socket = join(folder, "redis.sock");
  const persistence = options.aof === true ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
  const port = await freePort();
  const args = ["--unixsocket", socket, ...persistence, "--maxmemory-policy", "noeviction", ...(options.args ?? [])];
  const server = await startServer(folder, port, args, options.survivesFullFiles === true ? NO_XFSZ : undefined);
  const clients: Redis[] = [];
  const redisOptions = (): ClientOptions => ({ path: socket, retryStrategy: (times) => Math.min(times * 20, 200) });
  const stop = async (): Promise<void> => {
    for (const client of clients) client.disconnect();
    await server.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true, maxRetries: 5 }); // a child that rewrites files outlives its parent a little
  };
  return {
    url: `redis://127.0.0.1:${port}/0`,
    socket,
    get options() {
      return redisOptions();
    },
    client: () => track(clients, new Redis(redisOptions())),
    kill9: () => server.kill("SIGKILL"),
    pause: () => server.signal("SIGSTOP"),
    resume: () => server.signal("SIGCONT"),
    restart: async () => {
      await server.kill("SIGKILL");
      await server.start();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Becomes the program named behind it, deaf to SIGXFSZ. */
const NO_XFSZ = ["/bin/sh", "-c", `trap '' XFSZ; exec "$0" "$@"`];

/** A running redis-server process; for building clusters and replicas. */
export interface ServerProcess {
  readonly folder: string;
  readonly port: number;
  start(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Sends the signal and waits until the process is gone. */
  kill(name: NodeJS.Signals): Promise<void>;
}

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts `redis-server` with its files in `folder`, on a loopback port, and waits until it answers. `args` may begin with a configuration file. */
export async function startServer(
  folder: string,
  port: number,
  args: readonly string[],
  through: readonly string[] = [],
): Promise<ServerProcess> {
  const { binary } = await redisServer();
  let child: ChildProcess | undefined;
  const log = join(folder, "redis.log");
  const start = async (): Promise<void> => {
    const all = [
      ...args,
      "--port",
      String(port),
      "--bind",
      "127.0.0.1",
      "--save",
      "",
      "--dir",
      folder,
      "--logfile",
      log,
      "--daemonize",
      "no",
    ];
    const [program, ...before] = [...through, binary] as const;
    const started = spawn(program, [...before, ...all], { stdio: "ignore" });
    child = started;
    running.add(started);
    started.once("exit", () => running.delete(started));
    await answering(port, started).catch(async (error: unknown) => {
      started.kill("SIGKILL");
      throw new Error(`redis-server did not start: ${await readFile(log, "utf8").catch(() => "no log")}`, { cause: error });
    });
  };
  await start();
  return {
    folder,
    port,
    start,
    signal: (name) => void child?.kill(name),
    kill: async (name) => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill(name);
      await gone;
    },
  };
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  for (;;) {
    // Below the ports that the system gives to connections: one of those could take it before whoever asked for it listens there.
    const port = randomInt(12_000, 32_000);
    const server = createServer().listen(port, "127.0.0.1");
    const listens = await once(server, "listening").then(
      () => true,
      () => false, // somebody else has it
    );
    if (!listens) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

let found: Promise<{ readonly binary: string }> | undefined;

/** From here on this file's servers are of this program. */
export function useServer(binary: string): void {
  found = Promise.resolve({ binary });
}

/** STINT_TEST_REDIS_SERVER, else the launcher's choice: from PATH, from the cache, else fetched. Throws when there is none. */
function redisServer(): Promise<{ readonly binary: string }> {
  const named = process.env["STINT_TEST_REDIS_SERVER"] ?? "";
  if (named !== "") found ??= serverNamed(named);
  const cache = process.env["XDG_CACHE_HOME"];
  const search = { searchPath: process.env["PATH"], cacheDir: cache === undefined || cache === "" ? undefined : join(cache, "stint") };
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
  found ??= ensureRedisServer(search, quiet);
  return found;
}

/** A path, or `valkey` for the one that `npm test` finds or fetches. */
async function serverNamed(named: string): Promise<{ readonly binary: string }> {
  const binary = named === "valkey" ? await findValkey() : named;
  if (binary === undefined)
    throw new Error("STINT_TEST_REDIS_SERVER=valkey, and there is no valkey-server: npm test fetches one where it can");
  return { binary };
}

async function answering(port: number, child: ChildProcess): Promise<void> {
  const client = new Redis({ host: "127.0.0.1", port, lazyConnect: true, retryStrategy: () => 5, maxRetriesPerRequest: null });
  client.on("error", () => undefined);
  try {
    await eventually("redis-server answers", async () => {
      if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}`);
      if (client.status === "wait") await client.connect().catch(() => undefined);
      return (await withinASecond(client.ping())) === "PONG";
    });
  } finally {
    client.disconnect();
  }
}

const withinASecond = <T>(work: Promise<T>): Promise<T | undefined> => Promise.race([work, pause(1_000, undefined, { ref: false })]);

async function useRedis(given: string): Promise<TestRedis> {
  const url = new URL(given);
  url.pathname = `/${process.env["JEST_WORKER_ID"] ?? "0"}`;
  const clients: Redis[] = [];
  const connect = (): Redis => track(clients, new Redis(url.href));
  await connect().flushdb();
  const never = (): never => {
    throw new Error("this test needs a Redis of its own: unset STINT_TEST_REDIS_URL");
  };
  const stop = async (): Promise<void> => clients.forEach((client) => client.disconnect());
  const options = (): ClientOptions => ({
    host: url.hostname,
    port: Number(url.port === "" ? 6379 : url.port),
    db: Number(url.pathname.slice(1)),
    ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
    ...(url.protocol === "rediss:" ? { tls: {} } : {}),
  });
  return {
    url: url.href,
    socket: undefined,
    get options() {
      return options();
    },
    client: connect,
    kill9: never,
    pause: never,
    resume: never,
    restart: never,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function track(clients: Redis[], client: Redis): Redis {
  // A killed server is what some tests are about: its clients reconnect instead of crashing the test.
  client.on("error", () => undefined);
  clients.push(client);
  return client;
}
