import { appendFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { StoreFacts } from "../../store/api.ts";
import type { FromWorker, ToWorker } from "../../broker/workers/messages.ts";

/** What it takes to start a broker, and to end one. */
const STARTS_MS = 300;
const STOPS_MS = 100;
const FACTS: StoreFacts = {
  mode: "single",
  replicas: 0,
  version: "7",
  aof: true,
  aofRequired: false,
  fsync: "always",
  evictionPolicy: "noeviction",
};

/**
 * A worker of a `Crew`, with nothing behind it. Like a real one it hears nothing else while it starts. Where the embedded Redis
 * would be, there is a file: it writes down what it was told, and a spec reads it.
 */
async function serve(): Promise<void> {
  const path = await begun();
  const note = (what: string): void => appendFileSync(path, `${process.pid} ${what}\n`);
  note("begin");
  await pause(STARTS_MS);
  process.on("message", (message: ToWorker) => {
    note(message.say);
    if (message.say === "alive?") tell({ say: "alive" });
    if (message.say === "stop") setTimeout(() => process.exit(0), STOPS_MS);
  });
  note("serving");
  tell({ say: "serving", store: "toy", facts: FACTS });
}

function begun(): Promise<string> {
  return new Promise((resolve) => {
    process.once("message", (message: ToWorker) => resolve(message.say === "begin" ? (message.socketPath ?? "") : ""));
    tell({ say: "here" });
  });
}

const tell = (message: FromWorker): void => void process.send?.(message);

// Forked by a crew, this file is the worker.
if (process.send !== undefined && process.argv[1] === import.meta.filename) await serve();
