import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newOperatorToken } from "../../broker/operators.ts";
import { eventually } from "./events.ts";
import { freePort } from "./redis.ts";

const MAIN = join(import.meta.dirname, "../../broker/main.js");

export interface MainOptions {
  readonly documents: (url: string) => string;
  /** As `STINT_URL`; the process listens on a port of its own, which `at` names. */
  readonly url?: string;
  /** Undefined: the embedded one. */
  readonly redisUrl?: string;
  readonly masterKey?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Where it listens, to take over from one that has stopped; any free port otherwise. */
  readonly port?: number;
  /** Its working folder, which is then left there: an earlier one's, to go on with its files. */
  readonly folder?: string;
}

/** A broker as it is run in production: `broker/main` in a process of its own, with every timer and real files. */
export interface MainProcess extends AsyncDisposable {
  /** Its issuer. */
  readonly url: string;
  /** Where it listens. */
  readonly at: string;
  readonly metrics: string;
  /** Admin. */
  readonly operator: string;
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly log: () => string;
  /** Exit code; null after a signal. */
  readonly exited: Promise<number | null>;
  readonly auditDir: string;
  /** Replaces its configuration; `reload` it with SIGHUP. */
  configure(documents: string): Promise<void>;
  /** Processes that serve, with STINT_WORKERS. */
  workers(): Promise<readonly number[]>;
}

export const newMasterKey = (): string => randomBytes(32).toString("base64");

/** Starts it and waits until it is ready. */
export async function startMain(options: MainOptions): Promise<MainProcess> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "stint-main-")));
  const [port, metricsPort] = [options.port ?? (await freePort()), await freePort()];
  const at = `http://127.0.0.1:${port}`;
  const url = options.url ?? at;
  const { token, line } = newOperatorToken("root", "admin");
  await mkdir(join(folder, "stint"), { recursive: true });
  const configure = (documents: string): Promise<void> => writeFile(join(folder, "stint", "policy.yaml"), documents);
  await configure(options.documents(url));
  await writeFile(join(folder, "operators"), line, { mode: 0o600 });
  const remote =
    options.redisUrl === undefined ? {} : { STINT_REDIS_URL: options.redisUrl, STINT_MASTER_KEY: options.masterKey ?? newMasterKey() };
  const child = spawn(process.execPath, [MAIN], {
    cwd: folder,
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      STINT_URL: url,
      STINT_LISTEN: `127.0.0.1:${port}`,
      STINT_METRICS_LISTEN: `127.0.0.1:${metricsPort}`,
      STINT_OPERATOR_TOKENS_FILE: "operators",
      STINT_LOG_FORMAT: "json",
      ...remote,
      ...options.env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, log] = [collected(child.stdout), collected(child.stderr)];
  const exited = once(child, "close").then(([code]) => code as number | null);
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    child.kill("SIGCONT");
    await exited;
    if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
  };
  const ready = eventually(
    "the broker is ready",
    async () => child.exitCode !== null || (await fetch(`${at}/readyz`, { headers: { connection: "close" } })).ok,
    30_000,
  );
  const ended = exited.then((code) => {
    throw new Error(`the broker ended with ${code}: ${log().slice(-2_000)}`);
  });
  ended.catch(() => undefined);
  try {
    await Promise.race([ready, ended]);
    if (child.exitCode !== null) await ended;
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    at,
    metrics: `http://127.0.0.1:${metricsPort}/metrics`,
    operator: token.reveal(),
    child,
    out,
    log,
    exited,
    auditDir: join(folder, ".stint", "audit"),
    configure,
    workers: () => childrenOf(child),
    [Symbol.asyncDispose]: stop,
  };
}

function collected(stream: NodeJS.ReadableStream | null): () => string {
  let text = "";
  stream?.on("data", (chunk: Buffer) => (text = (text + chunk.toString()).slice(-4_000_000)));
  return () => text;
}

/** Node processes that it has forked; its Redis is not one of them. */
async function childrenOf({ pid }: ChildProcess): Promise<readonly number[]> {
  const ps = spawn("ps", ["-o", "pid=,args=", "--ppid", String(pid)], { stdio: ["ignore", "pipe", "ignore"] });
  const text = collected(ps.stdout);
  await once(ps, "close");
  return text()
    .split("\n")
    .filter((line) => line.includes("broker/main"))
    .map((line) => Number.parseInt(line, 10));
}
