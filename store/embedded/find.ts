import { execFile } from "node:child_process";
import { access, constants, readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";

/** Where to look for a Redis server. */
export interface RedisSearch {
  /** Directories as in PATH; the usual system ones when not given. */
  readonly searchPath?: string | undefined;
  /** Folder that holds fetched servers, `<cacheDir>/redis-<version>`; `~/.cache/stint` when not given. */
  readonly cacheDir?: string | undefined;
}

/** A server program that was run once and told its version. */
export interface RedisServer {
  readonly binary: string;
  /** `7.0.15` */
  readonly version: string;
}

/** Scripts need `#!lua` flags and multi-part AOF, which came with Redis 7. */
export const OLDEST_REDIS = 7;

const NAMES = ["redis-server", "valkey-server"] as const;
const USUAL_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/opt/homebrew/bin"];

/** The folder for fetched servers when the environment names none. */
export const defaultCacheDir = (): string => join(homedir(), ".cache", "stint");

/** The first `redis-server` or `valkey-server` of at least version 7 on the path, else the newest fetched one; undefined when there is none. */
export async function findRedisServer(search: RedisSearch = {}): Promise<RedisServer | undefined> {
  for (const candidate of [...onPath(search.searchPath), ...(await inCache(search.cacheDir ?? defaultCacheDir()))]) {
    const server = await probe(candidate);
    if (server !== undefined) return server;
  }
  return undefined;
}

/** Runs `<binary> --version`; undefined when it cannot be run or is older than version 7. */
export async function probe(binary: string): Promise<RedisServer | undefined> {
  const executable = await access(binary, constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!executable) return undefined;
  const text = await new Promise<string>((resolve) => {
    execFile(binary, ["--version"], { timeout: 5000 }, (error, stdout) => resolve(error === null ? stdout : ""));
  });
  const version = /\bv=(\d+\.\d+\.\d+)/.exec(text)?.[1];
  if (version === undefined || Number.parseInt(version, 10) < OLDEST_REDIS) return undefined;
  return { binary, version };
}

function onPath(searchPath: string | undefined): readonly string[] {
  const folders = searchPath === undefined ? USUAL_PATH : searchPath.split(delimiter).filter(isAbsolute);
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name)));
}

async function inCache(cacheDir: string): Promise<readonly string[]> {
  const entries = await readdir(cacheDir).catch(() => []);
  const versions = entries.filter((entry) => /^redis-\d+\.\d+\.\d+$/.test(entry));
  versions.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  return versions.map((entry) => join(cacheDir, entry, "redis-server"));
}
