import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { FromWorker, ToWorker } from "../../../broker/workers/messages.ts";
import type { Snapshot } from "../../../broker/telemetry/together.ts";
import { eventually } from "../../support/events.ts";
import { newMasterKey } from "../../support/main-process.ts";
import { freePort, startRedis, type TestRedis } from "../../support/redis.ts";

const MAIN = join(import.meta.dirname, "../../../broker/main.js");

/** A worker whose primary process is the spec. */
let worker: Worker;
let heard: FromWorker[];

function fork(env: Readonly<Record<string, string>>, cwd = process.cwd()): void {
  heard = [];
  cluster.setupPrimary({ exec: MAIN, cwd, silent: true });
  worker = cluster.fork({ STINT_LISTEN: "127.0.0.1:0", STINT_METRICS_LISTEN: "off", ...env });
  worker.on("message", (message: FromWorker) => heard.push(message));
}
const say = (message: ToWorker): void => void worker.send(message);
const told = <W extends FromWorker["say"]>(what: W): Promise<Extract<FromWorker, { say: W }>> =>
  eventually(`it says ${what}`, () => {
    const index = heard.findIndex((message) => message.say === what);
    return index >= 0 && (heard.splice(index, 1)[0] as Extract<FromWorker, { say: W }>);
  });

afterEach(async () => {
  const gone = worker.isDead() ? undefined : once(worker, "exit");
  worker.process.kill("SIGKILL");
  await gone;
  cluster.setupPrimary({ cwd: process.cwd(), silent: false }); // settings stay with the process, and other specs have theirs
});

describe("a worker that is starting", () => {
  it.each(["SIGHUP", "SIGUSR2", "SIGTERM", "SIGINT"] as const)("leaves %s to the primary process", async (signal) => {
    fork({ STINT_URL: "http://127.0.0.1:9" });
    await told("here");
    worker.process.kill(signal);
    say({ say: "begin", socketPath: undefined });
    // it lives: there is no Redis, and it says so
    expect(await told("failed")).toMatchObject({ exitCode: 78, message: expect.stringContaining("no Redis") });
  });
});

describe("metrics of a worker", () => {
  let redis: TestRedis;
  let folder: string;
  let at: string;
  beforeEach(async () => {
    redis = await startRedis();
    folder = await mkdtemp(join(tmpdir(), "stint-worker-"));
    await mkdir(join(folder, "stint"));
    await writeFile(join(folder, "stint", "settings.yaml"), "kind: Settings\nname: settings\nlint: warn\n");
    const metrics = `127.0.0.1:${await freePort()}`;
    at = `http://${metrics}`;
    const env = { STINT_URL: "http://127.0.0.1:9", STINT_REDIS_URL: redis.url, STINT_MASTER_KEY: newMasterKey() };
    fork({ ...env, STINT_METRICS_LISTEN: metrics }, folder);
    await told("here");
    say({ say: "begin", socketPath: undefined });
    await told("serving");
  });
  afterEach(async () => {
    await redis[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const look = (path: string): Promise<Response> => fetch(`${at}${path}`, { headers: { connection: "close" } });
  const looked = (text: string): number =>
    Number(/^stint_http_request_duration_seconds_count\{.*route="\/livez".*\} (\d+)/m.exec(text)?.[1] ?? 0);

  it("are shown as they were told: what it counts meanwhile would be lost with it", async () => {
    await look("/livez");
    const shown = look("/metrics");
    const { id } = await told("gather");
    for (let count = 0; count < 5; count += 1) await look("/livez");
    say({ say: "gathered", id, others: [], serving: 1, lost: 0 });
    expect(looked(await (await shown).text())).toBe(1);
    const again = look("/metrics");
    say({ say: "gathered", id: (await told("gather")).id, others: [], serving: 1, lost: 0 });
    expect(looked(await (await again).text())).toBe(6);
  });

  it("tell how many workers there are by what the primary process says, not by what one of them was told before", async () => {
    const show = async (others: readonly Snapshot[], serving: number): Promise<{ text: string; snapshot: Snapshot }> => {
      const shown = look("/metrics");
      const { id, snapshot } = await told("gather");
      say({ say: "gathered", id, others, serving, lost: 3 });
      return { text: await (await shown).text(), snapshot };
    };
    await show([], 3);
    const { snapshot, text } = await show([], 3);
    expect(text).toContain("\nstint_workers 3\n");
    expect((await show([snapshot], 2)).text).toMatch(/^stint_workers 2\n[\s\S]*^stint_worker_exits_total 3\n/m);
  });

  it("are not there at all when the primary process does not answer: alone they would be less than before", async () => {
    const { status } = await look("/metrics");
    expect(status).toBe(503);
  });
});
