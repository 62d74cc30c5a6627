import type { ChildProcess } from "node:child_process";
import { fetchRedisServer, type LaunchLog } from "./fetch.ts";
import { findRedisServer, type RedisSearch, type RedisServer } from "./find.ts";
import { holderOf, takeLock, type FileLock } from "./lock.ts";
import { takeOver } from "./orphan.ts";
import { preparePlace, type Place } from "./place.ts";
import { hasEnded, startServer, stopServer, type RedisExit } from "./server.ts";

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
/** A server that lived this long did not die of its start. */
const STEADY_MS = 10_000;

export interface EmbeddedOptions extends RedisSearch {
  readonly dataDir: string;
  readonly log: LaunchLog;
}

/** A Redis of our own, kept running until `stop`. */
export interface EmbeddedRedis extends AsyncDisposable {
  readonly socketPath: string;
  readonly binary: string;
  readonly version: string;
  /** False from the moment its process ends until a new one answers; clients reconnect by themselves. */
  isRunning(): boolean;
  /** Called whenever it ends unasked; it is being started again. */
  onExit(listener: (exit: RedisExit) => void): void;
  stop(): Promise<void>;
}

/** A second broker on one data directory. */
export class DataDirectoryInUse extends Error {
  override readonly name = "DataDirectoryInUse";
  readonly exitCode = 78;
}

/** The server program: found on the path or in the cache, else fetched. Throws `NoRedisServer`. */
export const ensureRedisServer = async (search: RedisSearch, log: LaunchLog): Promise<RedisServer> =>
  (await findRedisServer(search)) ?? fetchRedisServer(search, log);

/**
 * Starts the data directory's Redis as a child on a unix socket: append-only file with fsync on every write, never evicting,
 * no TCP port. A server left behind by a killed broker is stopped first; one that dies is started again with backoff.
 * Throws `DataDirectoryInUse`, `UnusableDataDirectory` or `NoRedisServer`, each with an `exitCode`.
 */
export async function startEmbeddedRedis(options: EmbeddedOptions): Promise<EmbeddedRedis> {
  const place = await preparePlace(options.dataDir);
  const brokerLock = await takeLock(place.brokerLock);
  if (brokerLock === undefined) throw inUse(place);
  try {
    const server = await ensureRedisServer(options, options.log);
    const redisLock = await takeOver(place, options.log);
    const keeper = new Keeper(server, place, redisLock, options.log);
    await keeper.start().catch((error: unknown) => {
      redisLock.release();
      throw error;
    });
    options.log.info({ binary: server.binary, version: server.version, socket: place.socket }, "embedded Redis started");
    const stop = async (): Promise<void> => {
      if (await keeper.stop()) brokerLock.release();
    };
    return {
      socketPath: place.socket,
      binary: server.binary,
      version: server.version,
      isRunning: () => keeper.isRunning(),
      onExit: (listener) => keeper.onExit(listener),
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    brokerLock.release();
    throw error;
  }
}

function inUse(place: Place): DataDirectoryInUse {
  const holder = holderOf(place.brokerLock);
  return new DataDirectoryInUse(
    `Another broker${holder === undefined ? "" : ` (process ${holder})`} uses the data directory ${place.dataDir}. ` +
      "Give each broker a STINT_DATA_DIR of its own, or let them share one Redis by STINT_REDIS_URL.",
  );
}

/** Keeps one server process running. */
class Keeper {
  readonly #server: RedisServer;
  readonly #place: Place;
  readonly #lock: FileLock;
  readonly #log: LaunchLog;
  readonly #listeners: ((exit: RedisExit) => void)[] = [];
  #child: ChildProcess | undefined;
  #startedAt = 0;
  #retryMs = FIRST_RETRY_MS;
  #retry: NodeJS.Timeout | undefined;
  #starting: Promise<void> | undefined;
  #stopped = false;
  // However this process ends, short of SIGKILL, its Redis ends with it.
  readonly #onProcessExit = (): void => void this.#child?.kill("SIGTERM");

  constructor(server: RedisServer, place: Place, lock: FileLock, log: LaunchLog) {
    this.#server = server;
    this.#place = place;
    this.#lock = lock;
    this.#log = log;
  }

  async start(): Promise<void> {
    const child = await startServer(this.#server.binary, this.#place, this.#lock.fd, this.#log);
    this.#child = child;
    this.#startedAt = performance.now();
    process.once("exit", this.#onProcessExit);
    if (hasEnded(child)) this.#ended({ code: child.exitCode, signal: child.signalCode });
    else child.once("exit", (code, signal) => this.#ended({ code, signal }));
  }

  isRunning(): boolean {
    return this.#child !== undefined && !hasEnded(this.#child);
  }

  onExit(listener: (exit: RedisExit) => void): void {
    this.#listeners.push(listener);
  }

  /** Resolves true for the call that stopped it, false when that had been asked for before. */
  async stop(): Promise<boolean> {
    if (this.#stopped) return false;
    this.#stopped = true;
    clearTimeout(this.#retry);
    await this.#starting;
    if (this.#child !== undefined) await stopServer(this.#child);
    this.#lock.release();
    return true;
  }

  #ended(exit: RedisExit): void {
    process.removeListener("exit", this.#onProcessExit);
    if (this.#stopped) return;
    if (performance.now() - this.#startedAt > STEADY_MS) this.#retryMs = FIRST_RETRY_MS;
    this.#log.error({ ...exit, retryMs: this.#retryMs }, "embedded Redis ended; starting it again");
    for (const listener of this.#listeners) listener(exit);
    this.#again();
  }

  #again(): void {
    this.#retry = setTimeout(() => {
      this.#starting = this.start().then(
        () => this.#log.info({}, "embedded Redis started again"),
        (error: unknown) => {
          this.#log.error({ err: error, retryMs: this.#retryMs }, "embedded Redis could not be started");
          if (!this.#stopped) this.#again();
        },
      );
    }, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
  }
}
