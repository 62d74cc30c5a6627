import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "@jest/globals";
import type { FromWorker, ToWorker } from "../../../broker/workers/messages.ts";
import { eventually } from "../../support/events.ts";

const MAIN = join(import.meta.dirname, "../../../broker/main.js");

/** The spec is the primary process. */
describe("a worker", () => {
  let worker: Worker;
  let heard: FromWorker[];
  const fork = (): void => {
    heard = [];
    cluster.setupPrimary({ exec: MAIN, silent: true });
    worker = cluster.fork({ STINT_URL: "http://127.0.0.1:9", STINT_LISTEN: "127.0.0.1:0", STINT_METRICS_LISTEN: "off" });
    worker.on("message", (message: FromWorker) => heard.push(message));
  };
  afterEach(async () => {
    const gone = worker.isDead() ? undefined : once(worker, "exit");
    worker.process.kill("SIGKILL");
    await gone;
  });

  const say = (message: ToWorker): void => void worker.send(message);
  const told = <W extends FromWorker["say"]>(what: W): Promise<Extract<FromWorker, { say: W }>> =>
    eventually(`it says ${what}`, () => heard.find((message): message is Extract<FromWorker, { say: W }> => message.say === what));

  it.each(["SIGHUP", "SIGUSR2", "SIGTERM", "SIGINT"] as const)("that is starting leaves %s to the primary process", async (signal) => {
    fork();
    await told("here");
    worker.process.kill(signal);
    say({ say: "begin", socketPath: undefined });
    // it lives: there is no Redis, and it says so
    expect(await told("failed")).toMatchObject({ exitCode: 78, message: expect.stringContaining("no Redis") });
  });
});
