import { Cluster, Redis, type RedisOptions as AllRedisOptions } from "ioredis";
import { StintError } from "../domain/errors.ts";

type RedisOptions = Omit<AllRedisOptions, "replyMapping">;
export type RedisClient = Redis | Cluster;
export type StoreMode = "single" | "sentinel" | "cluster";

/** A live connection and how it is laid out. */
export interface Connection {
  readonly client: RedisClient;
  readonly mode: StoreMode;
  /** One client per primary: for facts that each node has of its own. */
  primaries(): readonly Redis[];
}

/** A command that hangs is given up after this long; the store's promise is an answer within two seconds. */
export const COMMAND_TIMEOUT_MS = 800;

// A command whose reply was lost is never sent again by the client: scripts decide for themselves whether they have run (run.ts).
const NODE: RedisOptions = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  commandTimeout: COMMAND_TIMEOUT_MS,
  connectTimeout: 2000,
  retryStrategy: (times) => Math.min(25 * 2 ** Math.min(times, 6), 1000),
  reconnectOnError: (error) => (error.message.startsWith("READONLY") ? 1 : false),
};

type Hosts = { readonly host: string; readonly port: number }[];

function hostsOf(list: string, defaultPort: number): Hosts {
  return list.split(",").map((part) => {
    const colon = part.lastIndexOf(":");
    return colon < 0 ? { host: part, port: defaultPort } : { host: part.slice(0, colon), port: Number(part.slice(colon + 1)) };
  });
}

function credentials(text: string): { rest: string; options: RedisOptions } {
  const at = text.lastIndexOf("@");
  if (at < 0) return { rest: text, options: {} };
  const [username, password] = text.slice(0, at).split(":").map(decodeURIComponent);
  const options: RedisOptions = {};
  if (password !== undefined && password !== "") options.password = password;
  if (username !== undefined && username !== "") options.username = username;
  return { rest: text.slice(at + 1), options };
}

function build(url: string): { client: RedisClient; mode: StoreMode } {
  const sentinel = /^redis\+sentinel:\/\/(.+)\/([^/]+)$/.exec(url);
  if (sentinel?.[1] !== undefined && sentinel[2] !== undefined) {
    const { rest, options } = credentials(sentinel[1]);
    return { client: new Redis({ ...NODE, ...options, lazyConnect: true, sentinels: hostsOf(rest, 26_379), name: sentinel[2] }), mode: "sentinel" };
  }
  const cluster = /^redis\+cluster:\/\/([^/]+)\/?$/.exec(url);
  if (cluster?.[1] !== undefined) {
    const { rest, options } = credentials(cluster[1]);
    const client = new Cluster(hostsOf(rest, 6379), {
      lazyConnect: true,
      enableOfflineQueue: false,
      redisOptions: { ...NODE, ...options },
      slotsRefreshTimeout: 2000,
      slotsRefreshInterval: 5000,
      retryDelayOnTryAgain: 50,
      retryDelayOnClusterDown: 100,
      clusterRetryStrategy: (times) => Math.min(100 + times * 50, 1000),
    });
    return { client, mode: "cluster" };
  }
  if (url.startsWith("unix:")) return { client: new Redis({ ...NODE, lazyConnect: true, path: url.slice("unix:".length) }), mode: "single" };
  return { client: new Redis(url, { ...NODE, lazyConnect: true }), mode: "single" };
}

/**
 * Connects to `redis://`, `rediss://`, `redis+sentinel://h1,h2/name`, `redis+cluster://h1,h2` or `unix:/path`.
 * Throws `store_unavailable` when nothing answers within `patienceMs`.
 */
export async function connect(url: string, patienceMs = 10_000): Promise<Connection> {
  const { client, mode } = build(url);
  client.on("error", () => undefined); // every command reports its own failure; a listener keeps the process alive
  try {
    await within(patienceMs, client.connect().catch(() => readyAgain(client)));
    if (mode === "cluster") await within(patienceMs, readyAgain(client));
  } catch (error) {
    client.disconnect();
    throw new StintError("store_unavailable", "Redis does not answer", {}, { cause: error });
  }
  return { client, mode, primaries: () => (client instanceof Cluster ? client.nodes("master") : [client]) };
}

function readyAgain(client: RedisClient): Promise<void> {
  if (client.status === "ready") return Promise.resolve();
  return new Promise((resolve) => client.once("ready", () => resolve()));
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
