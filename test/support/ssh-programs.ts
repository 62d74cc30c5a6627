import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir, userInfo } from "node:os";
import { delimiter, join } from "node:path";
import { privateApt, run, unpack } from "../../store/embedded/apt.ts";
import { ENVIRONMENT, writeStarter } from "./fetched-program.ts";

/** OpenSSH's programs, by absolute path. */
export interface SshPrograms {
  readonly sshd: string;
  readonly ssh: string;
  readonly keygen: string;
  readonly add: string;
  readonly agent: string;
  /** libnss_wrapper.so: with it sshd knows users that this machine does not have. */
  readonly users: string | undefined;
  /** Lines of sshd_config that this sshd needs: where its parts are, and that failed logins of one address do not shut it out. */
  readonly options: readonly string[];
}

/** Debian's packages (12 and 13), and what they may lack on a bare machine. A name that a release does not know is skipped. */
const PACKAGES = ["openssh-server", "openssh-client", "libwrap0", "libnss-wrapper"];
const LIBRARIES = [
  ..."libaudit1 libcap-ng0 libcap2 libpam0g libsystemd0 libselinux1 libpcre2-8-0 libcrypt1 libssl3 libssl3t64 zlib1g".split(" "),
  ..."libgssapi-krb5-2 libkrb5-3 libkrb5support0 libk5crypto3 libcom-err2 libkeyutils1 libgcrypt20 libgpg-error0".split(" "),
  ..."liblzma5 libzstd1 liblz4-1 libfido2-1 libcbor0.8 libcbor0.10 libedit2 libbsd0 libmd0 libtinfo6 libwtmpdb0 libudev1".split(" "),
];
const NAMES = { sshd: "sshd", ssh: "ssh", keygen: "ssh-keygen", add: "ssh-add", agent: "ssh-agent" } as const;

const cacheDir = (): string => join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "stint");
const fetched = (): string => join(cacheDir(), "openssh");
const usable = (path: string, mode = constants.X_OK): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  );

/** OpenSSH of this machine, or the one that was fetched; undefined when parts are missing in both, or ssh would know no user here. */
export async function findSsh(): Promise<SshPrograms | undefined> {
  if (!hasName()) return undefined;
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"];
  const own = await programsIn(folders.filter((folder) => folder.startsWith("/")));
  if (own !== undefined) return { ...own, users: await usersLibrary(["/usr/lib", "/usr/lib64"]), options: await patience(own.ssh) };
  const files = join(fetched(), "files");
  const taken = await programsIn([fetched()]);
  if (taken === undefined) return undefined;
  return {
    ...taken,
    users: await usersLibrary([join(files, "usr/lib")]),
    options: [...(await partsOf(files)), ...(await patience(taken.ssh))],
  };
}

/** ssh and ssh-keygen refuse to run for a user id without a name. */
function hasName(): boolean {
  try {
    return userInfo().username !== "";
  } catch {
    return false;
  }
}

async function programsIn(folders: readonly string[]): Promise<Record<keyof typeof NAMES, string> | undefined> {
  const found: Partial<Record<keyof typeof NAMES, string>> = {};
  for (const [key, name] of Object.entries(NAMES) as [keyof typeof NAMES, string][]) {
    for (const folder of folders) {
      const path = join(folder, name);
      if (found[key] === undefined && (await usable(path))) found[key] = path;
    }
    if (found[key] === undefined) return undefined;
  }
  return found as Record<keyof typeof NAMES, string>;
}

async function usersLibrary(folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    for (const below of ["", ...(await readdir(folder).catch(() => [])).filter((name) => name.includes("-linux-"))]) {
      const path = join(folder, below, "libnss_wrapper.so");
      if (await usable(path, constants.R_OK)) return path;
    }
  }
  return undefined;
}

/** sshd of 9.8 and later is several programs, whose places are compiled in. */
async function partsOf(files: string): Promise<readonly string[]> {
  const parts = { SshdSessionPath: "sshd-session", SshdAuthPath: "sshd-auth" };
  const options: string[] = [];
  for (const [option, name] of Object.entries(parts)) {
    const path = join(files, "usr/lib/openssh", name);
    if (await usable(path)) options.push(`${option} ${path}`);
  }
  return options;
}

/** sshd of 9.8 and later answers an address no more after a few failed logins, which are what tests are made of. */
async function patience(ssh: string): Promise<readonly string[]> {
  const version = await new Promise<string>((resolve) => void execFile(ssh, ["-V"], (_, out, err) => resolve(out + err)));
  const [, major = "0", minor = "0"] = /OpenSSH_(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) * 100 + Number(minor) >= 908 ? ["PerSourcePenalties no"] : [];
}

/** Finds OpenSSH, or fetches it from the system's packages into the cache, without root. Throws where neither works. */
export async function ensureSsh(say: (text: string) => void): Promise<void> {
  if ((await findSsh()) !== undefined) return;
  if (process.env["STINT_TEST_OFFLINE"]) throw new Error("there is no OpenSSH here, and STINT_TEST_OFFLINE forbids to fetch it");
  say("no sshd found: fetching OpenSSH from the system's packages");
  await mkdir(cacheDir(), { recursive: true, mode: 0o700 });
  const work = await mkdtemp(join(cacheDir(), "fetch-"));
  try {
    const apt = await privateApt(work);
    const [files, debs] = [join(work, "openssh"), join(work, "debs")];
    await mkdir(files);
    await mkdir(debs);
    await run("apt-get", [...apt, "-qq", "update"], work).catch(() => undefined);
    await download(PACKAGES, apt, debs);
    await unpack(debs, files);
    await writeFile(join(files, "environment"), ENVIRONMENT);
    for (const [name, folder] of Object.values(NAMES).map((one) => [one, one === "sshd" ? "usr/sbin" : "usr/bin"] as const)) {
      await writeStarter(join(files, name), `${folder}/${name}`);
    }
    // most machines have most of them
    if (!(await complete(files))) {
      await download(LIBRARIES, apt, debs);
      await unpack(debs, files);
    }
    await run(join(files, "ssh"), ["-V"], files);
    await rename(files, fetched());
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Those of the packages that this release has. */
async function download(names: readonly string[], apt: readonly string[], debs: string): Promise<void> {
  const known = await run("apt-cache", [...apt, "madison", ...names], debs);
  const there = new Set([...known.matchAll(/^\s*(\S+) \|/gm)].map(([, name = ""]) => name));
  await run("apt-get", [...apt, "-qq", "download", ...names.filter((name) => there.has(name))], debs);
}

/** Whether the programs find all their libraries. */
async function complete(files: string): Promise<boolean> {
  const programs = ["usr/sbin/sshd", "usr/bin/ssh", "usr/bin/ssh-keygen", "usr/bin/ssh-add"].map((name) => join(files, "files", name));
  const said = await run("sh", ["-c", `. "$0"; ldd "$@"`, join(files, "environment"), ...programs], files).catch(() => "not found");
  return !said.includes("not found");
}
