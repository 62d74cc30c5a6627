import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { eventually } from "./events.ts";
import { freePort } from "./redis.ts";
import type { SshPrograms } from "./ssh-programs.ts";

/** What `ssh` (or another program) printed and how it ended. */
export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What a workload holds: a private key and its certificate, as text. */
export interface Held {
  readonly privateKey: string;
  readonly certificate: string;
}

export interface SshdOptions {
  /** `TrustedUserCAKeys`. */
  readonly ca: string;
  /** `RevokedKeys`; absent: sshd knows no list. */
  readonly krl?: Uint8Array;
  /** What `AuthorizedPrincipalsFile` holds for the user. */
  readonly principals?: readonly string[];
}

/** A real sshd on loopback with one user. */
export interface Sshd extends AsyncDisposable {
  readonly folder: string;
  readonly host: string;
  readonly port: number;
  /** Whom it lets in: a user that need not exist on this machine. */
  readonly user: string;
  /** Its key, as a line of a known_hosts file. */
  readonly knownHost: string;
  /** Puts a file in the place of another at once, as a host should: `ca.pub`, `krl`, `principals`. */
  put(name: "ca.pub" | "krl" | "principals", content: string | Uint8Array): Promise<void>;
  remove(name: "krl"): Promise<void>;
  /** One login with the real `ssh`. */
  login(held: Held, command?: string, more?: readonly string[]): Promise<Said>;
  /** What it logged so far. */
  log(): Promise<string>;
}

const USER = "deploy";

/** Starts sshd with public keys alone: no passwords, no authorized_keys, nobody but whom a certificate lets in. */
export async function startSshd(programs: SshPrograms, options: SshdOptions): Promise<Sshd> {
  const folder = await mkdtemp(join(tmpdir(), "stint-sshd-"));
  await mkdir(join(folder, "home"));
  const put: Sshd["put"] = async (name, content) => {
    await writeFile(join(folder, `${name}.new`), content);
    await rename(join(folder, `${name}.new`), join(folder, name));
  };
  await put("ca.pub", options.ca);
  await put("principals", (options.principals ?? [USER]).map((line) => `${line}\n`).join(""));
  if (options.krl !== undefined) await put("krl", options.krl);
  await ran(programs.keygen, ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", join(folder, "host")]);
  const { user, environment } = await userFor(programs, folder);
  const port = await freePort();
  await writeFile(join(folder, "sshd_config"), configuration(folder, port, programs, options.krl !== undefined));
  const stop = await start(programs.sshd, folder, port, environment);
  const knownHost = `[127.0.0.1]:${port} ${(await readFile(join(folder, "host.pub"), "utf8")).trim()}`;
  await writeFile(join(folder, "known_hosts"), `${knownHost}\n`);
  let logins = 0;
  return {
    folder,
    host: "127.0.0.1",
    port,
    user,
    knownHost,
    put,
    remove: (name) => rm(join(folder, name)),
    login: async (held, command = "echo welcome", more = []) => {
      const key = join(folder, `login-${(logins += 1)}`);
      await writeFile(key, held.privateKey, { mode: 0o600 });
      await writeFile(`${key}-cert.pub`, `${held.certificate}\n`);
      const quiet = ["BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=yes", "ConnectTimeout=10"];
      const known = `UserKnownHostsFile=${join(folder, "known_hosts")}`;
      const settings = [...quiet, known, "LogLevel=ERROR"].flatMap((setting) => ["-o", setting]);
      return ran(programs.ssh, ["-F", "none", ...settings, "-p", String(port), "-i", key, ...more, `${user}@127.0.0.1`, command]);
    },
    log: () => readFile(join(folder, "log"), "utf8"),
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function configuration(folder: string, port: number, { options }: SshPrograms, withList: boolean): string {
  return `ListenAddress 127.0.0.1:${port}
HostKey ${folder}/host
PidFile none
LogLevel VERBOSE
StrictModes no
ExposeAuthInfo yes
UsePAM no
PermitRootLogin prohibit-password
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile none
TrustedUserCAKeys ${folder}/ca.pub
AuthorizedPrincipalsFile ${folder}/principals
${withList ? `RevokedKeys ${folder}/krl\n` : ""}${options.map((line) => `${line}\n`).join("")}`;
}

/** A user of our own where sshd can be told of one, whatever this machine's accounts are; else whoever runs this. */
async function userFor(programs: SshPrograms, folder: string): Promise<{ readonly user: string; readonly environment: NodeJS.ProcessEnv }> {
  const { uid, gid, username } = userInfo();
  // sshd as root wants an empty folder and an unprivileged user to hide in; packages make them, a bare machine has neither
  if (uid === 0) await mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  if (programs.users === undefined) return { user: username, environment: {} };
  const people = [
    `root:x:0:0:root:/root:/bin/sh`,
    `sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin`,
    `${USER}:x:${uid}:${gid}:${USER}:${join(folder, "home")}:/bin/sh`,
  ];
  await writeFile(join(folder, "passwd"), `${people.join("\n")}\n`);
  await writeFile(join(folder, "group"), `root:x:0:\nnogroup:x:65534:\n${gid === 0 ? "" : `${USER}:x:${gid}:\n`}`);
  const environment = {
    LD_PRELOAD: programs.users,
    NSS_WRAPPER_PASSWD: join(folder, "passwd"),
    NSS_WRAPPER_GROUP: join(folder, "group"),
  };
  return { user: USER, environment };
}

/** Starts it, waits until it answers, and says how to stop it. */
async function start(sshd: string, folder: string, port: number, environment: NodeJS.ProcessEnv): Promise<() => Promise<void>> {
  const log = join(folder, "log");
  const child = spawn(sshd, ["-D", "-f", join(folder, "sshd_config"), "-E", log], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: process.env["PATH"], ...environment },
  });
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString()));
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()).once("error", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await gone;
  };
  try {
    await eventually("sshd answers", async () => child.exitCode !== null || (await opens(port)));
    if (child.exitCode !== null) throw new Error("it ended");
  } catch (error) {
    await stop();
    const said = [complaint, await readFile(log, "utf8").catch(() => "")].join("\n").trim();
    await rm(folder, { recursive: true, force: true });
    throw new Error(`sshd did not start: ${said}`, { cause: error });
  }
  return stop;
}

const opens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("data", () => (socket.destroy(), resolve(true)));
    socket.once("error", () => resolve(false));
  });

/** Runs a program to its end, whatever that is; times it prints are UTC. */
export function ran(program: string, args: readonly string[], input?: string | Uint8Array): Promise<Said> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { timeout: 30_000, maxBuffer: 2 ** 24, env: { ...process.env, TZ: "UTC" } },
      (error, out, err) => {
        if (error === null) return resolve({ code: 0, out, err });
        if (typeof error.code === "number") return resolve({ code: error.code, out, err });
        return reject(new Error(`${program} did not end by itself`, { cause: error }));
      },
    );
    child.stdin?.on("error", () => undefined).end(input);
  });
}
