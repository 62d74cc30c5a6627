import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../../test/support/redis.ts";
import { SERVER_CORE, startNode, stopChild } from "./children.ts";
import type { FloorSettings } from "./floor.ts";
import { AUDIENCE, BASIC, type Scenario } from "./scenario.ts";

/** A server under test. */
export interface Program extends AsyncDisposable {
  readonly name: "floor" | "broker" | "peer";
  readonly url: string;
  readonly port: number;
  readonly pid: number;
}

const dist = join(import.meta.dirname, "../..");
/** Starting a broker on an empty store takes well under a second on a quiet machine. */
const PATIENCE_MS = 30_000;

export async function startFloor(scenario: Scenario, redisUrl: string, profile: string | undefined): Promise<Program> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const settings: FloorSettings = { url, port, redisUrl, trusts: scenario.trusts, rules: scenario.rules, audience: AUDIENCE, basic: BASIC };
  const child = startNode(join(dist, "scripts/bench/floor.js"), [JSON.stringify(settings)], {
    core: SERVER_CORE,
    nodeArgs: profiling("floor", profile),
  });
  return ready({ name: "floor", url, port, child, log: undefined });
}

/** The floor of the feed; it knows nothing but a channel of Redis. */
export async function startFeedFloor(redisUrl: string): Promise<Program> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = startNode(join(dist, "scripts/bench/feed-floor.js"), [JSON.stringify({ port, redisUrl })], { core: SERVER_CORE });
  return ready({ name: "floor", url, port, child, log: undefined });
}

/** The broker as it is run in production: its own process, a configuration of a hundred grants, its log written to a file. */
export async function startBroker(scenario: Scenario, redisUrl: string, folder: string, profile: string | undefined): Promise<Program> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await scenario.writeConfig(join(folder, "config"), url);
  await writeFile(join(folder, "operators"), "", { mode: 0o600 });
  const log = join(folder, "broker.log");
  const fd = openSync(log, "w", 0o600);
  const env = {
    PATH: process.env["PATH"],
    STINT_URL: url,
    STINT_REDIS_URL: redisUrl,
    STINT_MASTER_KEY: randomBytes(32).toString("base64"),
    STINT_CONFIG: join(folder, "config"),
    STINT_DATA_DIR: join(folder, "data"),
    STINT_OPERATOR_TOKENS_FILE: join(folder, "operators"),
    STINT_METRICS_LISTEN: "off",
    STINT_LOG_FORMAT: "json",
  };
  const child = startNode(join(dist, "broker/main.js"), [], { core: SERVER_CORE, env, stderr: fd, nodeArgs: profiling("broker", profile) });
  closeSync(fd);
  return ready({ name: "broker", url, port, child, log });
}

/** Sampling each half millisecond costs little; the file is written when the program ends. */
const profiling = (name: string, folder: string | undefined): readonly string[] =>
  folder === undefined
    ? []
    : ["--cpu-prof", "--cpu-prof-interval", "500", "--cpu-prof-dir", folder, "--cpu-prof-name", `${name}.cpuprofile`];

interface Starting {
  readonly name: Program["name"];
  readonly url: string;
  readonly port: number;
  readonly child: ChildProcess;
  readonly log: string | undefined;
}

/** Waits until it answers. Throws with the end of its log when it does not. */
export async function ready({ name, url, port, child, log }: Starting): Promise<Program> {
  const until = performance.now() + PATIENCE_MS;
  const answers = async (): Promise<boolean> => (await fetch(`${url}/readyz`).catch(() => undefined))?.ok === true;
  while (!(await answers())) {
    if (child.exitCode !== null || performance.now() > until) {
      const last = log === undefined ? "" : (await readFile(log, "utf8").catch(() => "")).split("\n").slice(-12).join("\n");
      await stopChild(child);
      throw new Error(`the ${name} did not get ready\n${last}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { pid } = child;
  if (pid === undefined) throw new Error(`the ${name} has no process`);
  return { name, url, port, pid, [Symbol.asyncDispose]: () => stopChild(child) };
}
