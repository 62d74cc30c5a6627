import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { privateApt, run, unpack } from "../../store/embedded/apt.ts";
import { probe } from "../../store/embedded/find.ts";
import { writeStarter } from "./fetched-program.ts";

/** The server's name, and the package that its program lies in. */
const PACKAGES = ["valkey-server", "valkey-tools"];
/** What it may lack on a bare machine; a library under another name is one that the system has. */
const LIBRARIES = ["libjemalloc2", "liblzf1"];

const cacheDir = (): string => join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "stint");
const home = (): string => join(cacheDir(), "valkey");

/** The `valkey-server` of this machine, or the one that was fetched; undefined when there is none. */
export async function findValkey(): Promise<string | undefined> {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  for (const folder of [...folders, home()]) {
    const found = await probe(join(folder, "valkey-server"));
    if (found !== undefined) return found.binary;
  }
  return undefined;
}

/** Finds a Valkey, or fetches one from the system's packages into the cache, without root. Throws where neither works. */
export async function ensureValkey(say: (text: string) => void): Promise<void> {
  if ((await findValkey()) !== undefined) return;
  if (process.env["STINT_TEST_OFFLINE"]) throw new Error("there is none here, and STINT_TEST_OFFLINE forbids to fetch one");
  say("no valkey found: fetching one from the system's packages");
  await mkdir(cacheDir(), { recursive: true, mode: 0o700 });
  const work = await mkdtemp(join(cacheDir(), "fetch-"));
  try {
    const files = join(work, "valkey");
    const debs = join(work, "debs");
    await mkdir(files);
    await mkdir(debs);
    await download(work, debs);
    await unpack(debs, files);
    await writeStarter(join(files, "valkey-server"), "usr/bin/valkey-server");
    if ((await probe(join(files, "valkey-server"))) === undefined) throw new Error("the fetched valkey-server does not run here");
    await rename(files, home()).catch(() => undefined); // whoever fetched it a moment earlier wins
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** From the sources of this machine, else from its release's backports: Debian 12 has Valkey there. */
async function download(work: string, debs: string): Promise<void> {
  const apt = await privateApt(work);
  await run("apt-get", [...apt, "-qq", "update"], work).catch(() => undefined);
  for (const name of LIBRARIES) await run("apt-get", [...apt, "-qq", "download", name], debs).catch(() => undefined);
  try {
    await run("apt-get", [...apt, "-qq", "download", ...PACKAGES], debs);
  } catch {
    const backports = await backportsOf(apt, work);
    await run("apt-get", [...backports, "-qq", "update"], work);
    await run("apt-get", [...backports, "-qq", "download", ...PACKAGES], debs);
  }
}

async function backportsOf(apt: readonly string[], work: string): Promise<readonly string[]> {
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(await readFile("/etc/os-release", "utf8"))?.[1];
  const format = "$(CREATED_BY) $(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)";
  const targets = await run("apt-get", [...apt, "indextargets", "--format", format], work);
  const uri = new RegExp(`^Packages Debian ${codename} main (\\S+)$`, "m").exec(targets)?.[1];
  if (codename === undefined || uri === undefined) throw new Error("the system's packages have none, nor backports of its release");
  const list = join(work, "backports.list");
  await writeFile(list, `deb ${uri} ${codename}-backports main\n`);
  return [...apt, "-o", `Dir::Etc::sourcelist=${list}`, "-o", "Dir::Etc::sourceparts=-"];
}
