import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { systemCode } from "../errors.ts";
import { UnsuitableError } from "./unsuitable.ts";

type Environment = Readonly<Record<string, string | undefined>>;
const run = promisify(execFile);

/** How long OpenSSH's own programs may take, in milliseconds. */
const PATIENCE_MS = 10_000;

/** ssh-add takes no number beyond 31 bits; a lease lives a day at most. */
const LONGEST_SECONDS = 604_800;

/** An agent of our own, with nothing in it but what we add. It ends when it is disposed of, and soon after this process is lost. */
export class SshAgent implements AsyncDisposable {
  readonly socket: string;
  readonly #holder: ChildProcess;
  readonly #pid: number;
  readonly #env: Environment;

  private constructor(socket: string, holder: ChildProcess, pid: number, env: Environment) {
    this.#env = env;
    this.socket = socket;
    this.#holder = holder;
    this.#pid = pid;
  }

  /** Listens at `socket`, in a folder that nobody else can enter. Throws `UnsuitableError` where there is no OpenSSH. */
  static async start(socket: string, env: Environment): Promise<SshAgent> {
    // The agent lives as long as the `cat`, and that as long as its input: our end of the pipe, which closes however we end.
    // In a session of its own, so that Ctrl-C on the terminal reaches the command only.
    const script = 'printf "%s\\n" "$SSH_AGENT_PID"; exec cat';
    const holder = spawn("ssh-agent", ["-a", socket, "sh", "-c", script], {
      env: { PATH: env["PATH"], HOME: env["HOME"] },
      stdio: ["pipe", "pipe", "ignore"],
      detached: true,
    });
    holder.stdin.on("error", () => undefined);
    const [line] = (await Promise.race([
      once(createInterface(holder.stdout), "line", { signal: AbortSignal.timeout(PATIENCE_MS) }),
      once(holder, "exit").then(() => ["no"]),
    ]).catch((error: unknown) => {
      holder.kill();
      throw missing("ssh-agent", error);
    })) as [string];
    const pid = Number(line);
    if (!Number.isInteger(pid) || pid <= 1) throw new UnsuitableError("ssh-agent did not start");
    return new SshAgent(socket, holder, pid, env);
  }

  /** The key at `path` and the certificate beside it; the agent forgets both after `seconds`. */
  async add(path: string, seconds: number): Promise<void> {
    await addKey(this.socket, path, seconds, this.#env);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      process.kill(this.#pid, "SIGTERM");
    } catch {
      // it has ended already
    }
    this.#holder.stdin?.end();
    if (this.#holder.exitCode === null && this.#holder.signalCode === null)
      await once(this.#holder, "exit", { signal: AbortSignal.timeout(1000) }).catch(() => this.#holder.kill());
  }
}

/** Adds a key and the certificate beside it to the agent at `socket`, for `seconds`. */
export async function addKey(socket: string, path: string, seconds: number, env: Environment): Promise<void> {
  const options = {
    env: { PATH: env["PATH"], HOME: env["HOME"], SSH_AUTH_SOCK: socket, SSH_ASKPASS_REQUIRE: "never" },
    timeout: PATIENCE_MS,
  };
  await run("ssh-add", ["-q", "-t", String(Math.min(Math.max(1, seconds), LONGEST_SECONDS)), path], options).catch((error: unknown) => {
    throw missing("ssh-add", error);
  });
}

/** A key pair made here, so that the private half never leaves this machine. Answers the public half. */
export async function generateSshKey(path: string, comment: string, env: Environment): Promise<string> {
  const options = { env: { PATH: env["PATH"], HOME: env["HOME"] }, timeout: PATIENCE_MS };
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path], options).catch((error: unknown) => {
    throw missing("ssh-keygen", error);
  });
  return (await readFile(`${path}.pub`, "utf8")).trim();
}

function missing(program: string, error: unknown): UnsuitableError {
  if (systemCode(error) === "ENOENT")
    return new UnsuitableError(`${program} is not on this machine`, "Install the OpenSSH client, or take files: ssh instead of ssh-agent.");
  return new UnsuitableError(`${program} failed`, "Take files instead: --for GRANT=ssh.");
}
