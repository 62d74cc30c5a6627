import cluster from "node:cluster";
import type { Scrape } from "../app.ts";
import { describe } from "../background.ts";
import { adopt } from "../prepare.ts";
import { startBroker, type Given, type Running } from "../running.ts";
import { pause } from "../sweeper/schedule.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { isMessage, type FromWorker, type Gathered, type ToWorker } from "./messages.ts";

/** A scrape does not wait longer for the other workers' figures. */
const GATHER_MS = 2_000;
/** The primary process ends what hangs longer than this after it was told to stop. */
const LAST_MS = 10_000;

/** One of several processes that serve: does what the primary process says, and reports to it. Resolves when it serves. */
export async function runWorker(given: Given): Promise<void> {
  // A terminal signals the whole group and a service manager may; what concerns all comes from the primary process.
  for (const signal of ["SIGHUP", "SIGUSR2", "SIGTERM", "SIGINT"] as const) process.on(signal, () => undefined);
  const { config, logger } = given;
  const { socketPath } = await begun();
  let running: Running;
  const waiting = new Map<number, (gathered: Gathered) => void>();
  try {
    running = await startBroker(given, await adopt(config, socketPath), { scrape: (own) => scrapeAll(own, waiting) });
  } catch (error) {
    const exitCode = error instanceof Error && "exitCode" in error && typeof error.exitCode === "number" ? error.exitCode : 1;
    await tell({ say: "failed", exitCode, message: error instanceof Error ? error.message : String(error) });
    process.exit(exitCode);
  }
  const relay = relayEvents(running);
  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(1), LAST_MS).unref();
    try {
      await running.stop();
      await tell({ say: "ended", snapshot: await running.metrics.snapshot() });
      process.exit(0);
    } catch (error) {
      logger.error({ error: describe(error) }, "worker did not stop cleanly");
      process.exit(1);
    }
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void stop());
  process.on("message", (message: unknown) => {
    if (isMessage(message)) obey(message as ToWorker, { running, waiting, relay, stop });
  });
  await tell({ say: "serving", store: running.broker.store.id, facts: running.broker.store.facts() });
}

type Relayed = Extract<ToWorker, { say: "watched" | "event" }>;

interface Hands {
  readonly running: Running;
  readonly waiting: Map<number, (gathered: Gathered) => void>;
  readonly relay: (message: Relayed) => void;
  readonly stop: () => Promise<void>;
}

function obey(message: ToWorker, { running, waiting, relay, stop }: Hands): void {
  switch (message.say) {
    case "stop":
      return void stop();
    case "reload":
      return void running.reload();
    case "alive?":
      return void tell({ say: "alive" });
    case "count":
      return void running.metrics.snapshot().then((snapshot) => tell({ say: "counted", id: message.id, snapshot }));
    case "gathered":
      return waiting.get(message.id)?.(message);
    case "watched":
    case "event":
      return relay(message);
    case "begin":
  }
}

/**
 * Metrics of all workers, by way of the primary process. Ours are shown as they were told: were they newer, and we ended before we tell
 * again, the sum would fall. Without the others' they would fall too, so there are none when no answer comes.
 */
function scrapeAll(own: Metrics, waiting: Map<number, (gathered: Gathered) => void>): Scrape {
  let count = 0;
  return async () => {
    count += 1;
    const id = count;
    const over = new AbortController();
    const gathered = new Promise<Gathered>((resolve) => void waiting.set(id, resolve));
    const snapshot = await own.snapshot();
    await tell({ say: "gather", id, snapshot });
    const answer = await Promise.race([gathered, pause(GATHER_MS, over.signal)]);
    over.abort();
    waiting.delete(id);
    if (answer === undefined) return undefined;
    own.workers(answer.serving, answer.lost);
    const { contentType, body } = await own.render([snapshot, ...answer.others]);
    return { contentType, text: body };
  };
}

/** Whoever watches events at one worker sees those of all; they cross processes only while somebody does. */
function relayEvents({ broker: { events } }: Running): (message: Relayed) => void {
  let stop: (() => void) | undefined;
  events.onWatched((watched) => void tell({ say: "watched", watched }));
  return (message) => {
    if (message.say === "event") return events.receive(message.event);
    if (!message.watched) stop?.();
    stop = message.watched ? (stop ?? events.own((event) => void tell({ say: "event", event }))) : undefined;
  };
}

function begun(): Promise<Extract<ToWorker, { say: "begin" }>> {
  return new Promise((resolve) => {
    const hear = (message: unknown): void => {
      if (!isMessage(message) || message.say !== "begin") return;
      process.off("message", hear);
      resolve(message as Extract<ToWorker, { say: "begin" }>);
    };
    process.on("message", hear);
    // what is sent before somebody listens is lost
    void tell({ say: "here" });
  });
}

/** Whether this process was forked to be a worker. */
export const isWorker = (): boolean => cluster.isWorker;

/** Resolves when the message has left; a primary process that is gone hears nothing, and that ends this process anyway. */
function tell(message: FromWorker): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, undefined, {}, () => resolve());
  });
}
