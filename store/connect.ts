import { Cluster, Redis, type RedisOptions as AllRedisOptions } from "ioredis";
import { StintError } from "../domain/errors.ts";
import type { RedisTarget } from "./redis-target.ts";
import { parseRedisUrl } from "./redis-url.ts";

type RedisOptions = Omit<AllRedisOptions, "replyMapping">;
export type RedisClient = Redis | Cluster;
export type StoreMode = "single" | "sentinel" | "cluster";

/** A live connection and how it is laid out. */
export interface Connection {
  readonly client: RedisClient;
  readonly mode: StoreMode;
  /** One client per primary: for facts that each node has of its own. */
  primaries(): readonly Redis[];
  /** How to ask each Sentinel, and under what name it watches; none without Sentinel. */
  sentinels(): readonly { readonly sentinel: () => Redis; readonly name: string }[];
  /** What the address asks for; see `RedisTarget`. */
  readonly replicas: number | undefined;
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

type Reached = Exclude<RedisTarget, { readonly kind: "socket" }>;

/** User, password and TLS, as far as they were given. */
const access = ({ username, password, tls }: Reached): RedisOptions => ({
  ...(username === undefined ? {} : { username }),
  ...(password === undefined ? {} : { password: password.reveal() }),
  ...(tls ? { tls: {} } : {}),
});

function build(target: RedisTarget): { client: RedisClient; mode: StoreMode } {
  const node = { ...NODE, lazyConnect: true };
  switch (target.kind) {
    case "socket":
      return { client: new Redis({ ...node, path: target.path }), mode: "single" };
    case "single":
      return {
        client: new Redis({ ...node, ...access(target), host: target.at.host, port: target.at.port, db: target.db }),
        mode: "single",
      };
    case "sentinel": {
      const secure = target.tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {};
      // without the detector a client stays with a primary that hangs, long after another was promoted
      const watched = { sentinels: [...target.sentinels], name: target.name, failoverDetector: true };
      return {
        client: new Redis({ ...node, ...access(target), ...secure, ...watched }),
        mode: "sentinel",
      };
    }
    case "cluster": {
      const client = new Cluster([...target.nodes], {
        lazyConnect: true,
        enableOfflineQueue: false,
        redisOptions: { ...NODE, ...access(target) },
        slotsRefreshTimeout: 2000,
        slotsRefreshInterval: 5000,
        retryDelayOnTryAgain: 50,
        retryDelayOnClusterDown: 100,
        clusterRetryStrategy: (times) => Math.min(100 + times * 50, 1000),
      });
      return { client, mode: "cluster" };
    }
  }
}

function targetOf(to: string | RedisTarget): RedisTarget {
  if (typeof to !== "string") return to;
  const parsed = parseRedisUrl(to);
  if ("wrong" in parsed) throw new StintError("invalid_request", `Not the address of a Redis: ${parsed.wrong}`);
  return parsed.value;
}

/**
 * Connects to `redis://`, `rediss://`, `redis+sentinel://h1,h2/name`, `redis+cluster://h1,h2` or `unix:/path`.
 * Throws `store_unavailable` when nothing answers within `patienceMs`.
 */
export async function connect(to: string | RedisTarget, patienceMs = 10_000): Promise<Connection> {
  const target = targetOf(to);
  const { client, mode } = build(target);
  client.on("error", () => undefined); // every command reports its own failure; a listener keeps the process alive
  try {
    await within(
      patienceMs,
      client.connect().catch(() => readyAgain(client)),
    );
    if (mode === "cluster") await within(patienceMs, readyAgain(client));
  } catch (error) {
    client.disconnect();
    throw new StintError("store_unavailable", "Redis does not answer", {}, { cause: error });
  }
  return {
    client,
    mode,
    primaries: () => (client instanceof Cluster ? client.nodes("master") : [client]),
    sentinels: () => sentinelsOf(target),
    replicas: target.kind === "socket" ? 0 : target.replicas,
  };
}

function sentinelsOf(target: RedisTarget): ReturnType<Connection["sentinels"]> {
  if (target.kind !== "sentinel") return [];
  const { name, tls } = target;
  return target.sentinels.map((at) => ({
    name,
    sentinel: () => new Redis({ ...NODE, ...at, ...(tls ? { tls: {} } : {}), lazyConnect: true, retryStrategy: () => null }),
  }));
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
