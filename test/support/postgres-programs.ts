import { constants } from "node:fs";
import { access, chmod, lstat, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { privateApt, run, unpack } from "../../store/embedded/apt.ts";
import { writeStarter } from "./fetched-program.ts";

/** Programs of one installation, each with its whole path. */
export interface PostgresPrograms {
  readonly initdb: string;
  readonly postgres: string;
  readonly psql: string;
  readonly pgbench: string;
}
const NAMES = ["initdb", "postgres", "psql", "pgbench"] as const;

export const isRoot = process.getuid?.() === 0;
/**
 * Where a fetched Postgres is kept. It refuses to run as root, so root runs it as nobody, who may read nothing below root's home.
 */
const cacheDir = (): string =>
  isRoot ? "/var/tmp/stint-postgres" : join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "stint");
const home = (): string => join(cacheDir(), "postgres");
/** Where Debian and its like keep what is not on the path, and Homebrew. */
const KEPT = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];
/** Never fetched: a C library beside the system's own loader would not start. */
const OF_THE_SYSTEM = /^(?:libc6|libc-bin|libcrypt1|libllvm.*|libgcc.*|libstdc.*)$/;

/** Those in the folder STINT_TEST_POSTGRES, else those of this machine, else those that were fetched; undefined when there are none. */
export async function findPostgres(): Promise<PostgresPrograms | undefined> {
  const beside = await Promise.all(
    KEPT.map(async (folder) => {
      const found = await readdir(folder).catch(() => []);
      const versions = found.filter((name) => /^(?:postgresql@)?\d+$/.test(name));
      return versions
        .toSorted((a, b) => Number(b.replace(/\D/g, "")) - Number(a.replace(/\D/g, "")))
        .map((name) => join(folder, name, "bin"));
    }),
  );
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const named = process.env["STINT_TEST_POSTGRES"];
  for (const folder of named ? [named] : [...beside.flat(), ...path, ...((await isTrusted(cacheDir())) ? [home()] : [])]) {
    const programs = Object.fromEntries(NAMES.map((name) => [name, join(folder, name)])) as Record<(typeof NAMES)[number], string>;
    if ((await Promise.all(Object.values(programs).map(isProgram))).every(Boolean)) return programs;
  }
  return undefined;
}

/** Finds a Postgres, or fetches one from the system's packages into the cache, without root. Throws where neither works. */
export async function ensurePostgres(say: (text: string) => void): Promise<PostgresPrograms> {
  const found = await findPostgres();
  if (found !== undefined) return found;
  if (process.env["STINT_TEST_OFFLINE"]) throw new Error("there is no postgres here, and STINT_TEST_OFFLINE forbids to fetch one");
  say("no postgres found: fetching one from the system's packages");
  await mkdir(cacheDir(), { recursive: true, mode: isRoot ? 0o755 : 0o700 });
  if (!(await isTrusted(cacheDir()))) throw new Error(`${cacheDir()} belongs to somebody else`);
  const work = await mkdtemp(join(cacheDir(), "fetch-"));
  try {
    const files = join(work, "postgres");
    await mkdir(files);
    await assemble(work, files);
    await run(join(files, "postgres"), ["--version"], files);
    if (isRoot) await chmod(files, 0o755);
    // whoever fetched it a moment earlier wins
    await rename(files, home()).catch(() => undefined);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  const fetched = await findPostgres();
  if (fetched === undefined) throw new Error("the fetched postgres is not complete");
  return fetched;
}

async function assemble(work: string, files: string): Promise<void> {
  const apt = await privateApt(work);
  const debs = join(work, "debs");
  await mkdir(debs);
  await run("apt-get", [...apt, "-qq", "update"], work).catch(() => undefined);
  const server = /postgresql-\d+\b/.exec(await run("apt-cache", [...apt, "depends", "postgresql"], work))?.[0];
  if (server === undefined) throw new Error("the system's packages have no postgresql");
  const version = server.slice("postgresql-".length);
  const client = `postgresql-client-${version}`;
  await run("apt-get", [...apt, "-qq", "download", server, client, "libpq5"], debs);
  await unpack(debs, files);
  if (await lacksLibraries(files, version)) {
    // a library under another name is one that the system has
    for (const name of await librariesOf(apt, work, [server, client]))
      await run("apt-get", [...apt, "-qq", "download", name], debs).catch(() => undefined);
    await unpack(debs, files);
  }
  for (const name of NAMES) await writeStarter(join(files, name), `usr/lib/postgresql/${version}/bin/${name}`);
}

/** Everything the packages need whose name says library, for machines that lack some of it. */
async function librariesOf(apt: readonly string[], work: string, packages: readonly string[]): Promise<readonly string[]> {
  const flags = ["--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"];
  const depends = await run("apt-cache", [...apt, "depends", ...flags, ...packages], work);
  const names = depends
    .split("\n")
    .filter((line) => /^lib[a-z0-9.+-]+$/.test(line) && !OF_THE_SYSTEM.test(line) && !line.endsWith("-perl"));
  return [...new Set(names)];
}

async function lacksLibraries(files: string, version: string): Promise<boolean> {
  const bin = `files/usr/lib/postgresql/${version}/bin`;
  const script = `LD_LIBRARY_PATH=$(printf '%s:' files/usr/lib/*-linux-gnu* files/lib/*-linux-gnu*) ldd ${NAMES.map((name) => `${bin}/${name}`).join(" ")}`;
  return (await run("/bin/sh", ["-c", script], files)).includes("not found");
}

/** A small program that finds its libraries beside itself, behind the system's own. */
const isProgram = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

/** A folder that others may write to, or made, could hold anything. */
async function isTrusted(folder: string): Promise<boolean> {
  const found = await lstat(folder).catch(() => undefined);
  return found !== undefined && found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o022) === 0;
}
