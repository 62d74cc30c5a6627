import { chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { privateApt, run, unpack } from "./apt.ts";
import { codeOf, messageOf } from "./failure.ts";
import { defaultCacheDir, probe, type RedisSearch, type RedisServer } from "./find.ts";

/** What the launcher needs of a logger. */
export interface LaunchLog {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** `redis-tools` carries the server: on Debian `redis-server` is a link to its `redis-check-rdb`. */
const PACKAGES = ["redis-tools", "libjemalloc2", "liblzf1", "libatomic1"] as const;
/** Never fetched: a C library beside the system's own loader would not start. */
const SYSTEM_PACKAGES = new Set(["libc6", "libc-bin", "libcrypt1"]);

/** No server could be had; the message says what was tried and how to get one. Start-up ends with exit code 78. */
export class NoRedisServer extends Error {
  override readonly name = "NoRedisServer";
  readonly exitCode = 78;
}

/**
 * Fetches a Redis from the system's own Debian packages into the cache, without root and without touching the system: apt runs
 * with private state and verifies the packages' signatures as it always does. Throws `NoRedisServer`.
 */
export async function fetchRedisServer(search: RedisSearch, log: LaunchLog): Promise<RedisServer> {
  const cacheDir = search.cacheDir ?? defaultCacheDir();
  await mkdir(cacheDir, { recursive: true, mode: 0o700 });
  const work = await mkdtemp(join(cacheDir, "fetch-"));
  try {
    log.info({ cacheDir }, "no redis-server found: fetching one from the system's packages");
    const files = await assemble(work);
    const server = await probe(join(files, "redis-server"));
    if (server === undefined) throw new Error("the fetched redis-server does not run here, or is older than version 7");
    const home = join(cacheDir, `redis-${server.version}`);
    // Whoever fetched the same version a moment earlier wins; a directory that is not empty is never replaced.
    await rename(files, home).catch((error: unknown) => {
      if (codeOf(error) !== "ENOTEMPTY" && codeOf(error) !== "EEXIST") throw error;
    });
    log.info({ version: server.version, home }, "redis-server fetched");
    return { ...server, binary: join(home, "redis-server") };
  } catch (error) {
    throw new NoRedisServer(explain(error), { cause: error });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function assemble(work: string): Promise<string> {
  const apt = await privateApt(work);
  const files = join(work, "redis");
  const debs = join(work, "debs");
  await mkdir(debs);
  await mkdir(files);
  // A third-party source that is down must not stop us: what counts is whether the download succeeds.
  const updated = await run("apt-get", [...apt, "-qq", "update"], work).then(
    () => undefined,
    (error: unknown) => error,
  );
  await run("apt-get", [...apt, "-qq", "download", ...PACKAGES], debs).catch((error: unknown) => {
    throw new Error(`${messageOf(error)}${updated === undefined ? "" : `; ${messageOf(updated)}`}`, { cause: error });
  });
  await unpack(debs, files);
  await makeProgram(files);
  if ((await missingLibraries(files)).length > 0) {
    await run("apt-get", [...apt, "-qq", "download", ...(await libraryPackages(apt, work))], debs);
    await unpack(debs, files);
  }
  const missing = await missingLibraries(files);
  if (missing.length > 0) throw new Error(`libraries are missing: ${missing.join(", ")}`);
  return files;
}

/** Everything a package of ours depends on whose name says library, for machines that lack some of it. */
async function libraryPackages(apt: readonly string[], work: string): Promise<readonly string[]> {
  const flags = ["--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"];
  const text = await run("apt-cache", [...apt, "depends", ...flags, "redis-tools"], work);
  const names = text.split("\n").filter((line) => /^lib[a-z0-9.+-]+$/.test(line));
  return [...new Set(names)].filter((name) => !SYSTEM_PACKAGES.has(name));
}

/** A small program that finds its libraries beside itself, so that the folder may be renamed and nobody else needs to know. */
async function makeProgram(files: string): Promise<void> {
  await symlink("redis-check-rdb", join(files, "files/usr/bin/redis-server"));
  const program = [
    "#!/bin/sh",
    `here=$(dirname "$(readlink -f "$0")")/files`,
    `LD_LIBRARY_PATH=$(printf '%s:' "$here"/usr/lib/*-linux-gnu* "$here"/lib/*-linux-gnu*)$LD_LIBRARY_PATH`,
    "export LD_LIBRARY_PATH",
    `exec "$here/usr/bin/redis-server" "$@"`,
    "",
  ];
  await writeFile(join(files, "redis-server"), program.join("\n"));
  await chmod(join(files, "redis-server"), 0o755);
}

async function missingLibraries(files: string): Promise<readonly string[]> {
  const script = `LD_LIBRARY_PATH=$(printf '%s:' files/usr/lib/*-linux-gnu* files/lib/*-linux-gnu*) ldd files/usr/bin/redis-server`;
  const text = await run("/bin/sh", ["-c", script], files);
  return [...text.matchAll(/^\s*(\S+) => not found/gm)].map(([, name]) => name ?? "");
}

const explain = (error: unknown): string =>
  [
    `There is no Redis to run: no redis-server or valkey-server of version 7 or later on PATH, and fetching one failed (${messageOf(error)}).`,
    "Either install one (Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis), or set STINT_REDIS_URL to a Redis you run.",
  ].join(" ");
