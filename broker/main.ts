import { fileURLToPath } from "node:url";
import { readConfig, type Config } from "./config.ts";
import { letHeapGrow } from "./heap.ts";
import { prepare, type Prepared } from "./prepare.ts";
import { startBroker, type Given } from "./running.ts";
import { obeySignals, type Hands } from "./signals.ts";
import { isCron } from "./sweeper/schedule.ts";
import { createLogger, type Logger } from "./telemetry/logger.ts";
import { Crew } from "./workers/crew.ts";
import type { Serving } from "./workers/messages.ts";
import { isWorker, runWorker } from "./workers/worker.ts";

/** What is started here: a broker in this process, or the processes of one. */
interface Started extends Serving, Hands {}

async function startHere(given: Given, prepared: Prepared): Promise<Started> {
  const running = await startBroker(given, prepared);
  const { store } = running.broker;
  return {
    store: store.id,
    facts: store.facts(),
    reload: () => running.reload(),
    roll: () => given.logger.warn({}, "nothing to replace: the one process serves (STINT_WORKERS is 1)"),
    stop: () => running.stop(),
    kill: () => undefined,
  };
}

async function startCrew({ config, logger }: Given, prepared: Prepared): Promise<Started> {
  const exec = fileURLToPath(import.meta.url);
  const crew = new Crew({ count: config.workers, exec, socketPath: prepared.embedded?.socketPath, logger });
  const { store, facts } = await crew.start();
  return { store, facts, reload: () => crew.reload(), roll: () => crew.roll(), stop: () => crew.stop(), kill: () => crew.kill() };
}

/** Redis, where it is our own, and who serves on it. */
async function start(given: Given): Promise<Started & Pick<Prepared, "firstToken">> {
  const prepared = await prepare(given.config, given.logger);
  const started = await (given.config.workers > 1 ? startCrew : startHere)(given, prepared).catch(async (error: unknown) => {
    await prepared.embedded?.stop();
    throw error;
  });
  const stop = async (): Promise<void> => {
    await started.stop();
    await prepared.embedded?.stop();
  };
  return { ...started, stop, firstToken: prepared.firstToken };
}

async function run(): Promise<void> {
  letHeapGrow();
  const config = readConfig(process.env, { isCron });
  const logger = createLogger(config.log);
  const given: Given = { config, logger, variable: (name) => process.env[name] };
  if (isWorker()) return await runWorker(given);
  for (const warning of config.warnings) logger.warn({ warning }, "environment looks wrong");
  if (config.redis !== undefined && config.operatorTokensFile === undefined)
    logger.warn({}, "nobody can operate this broker: STINT_OPERATOR_TOKENS_FILE names no one");
  const starting = start(given);
  obeySignals(logger, starting);
  const started = await starting;
  sayStarted(config, logger, started);
  if (started.firstToken !== undefined) process.stdout.write(`admin token, shown this once: ${started.firstToken.reveal()}\n`);
}

function sayStarted(config: Config, logger: Logger, { store, facts: { aof, fsync, version, mode } }: Serving): void {
  const { url, listen, workers } = config;
  const durability = aof ? `append-only file, fsync ${fsync}` : "none: leases are lost when Redis dies";
  logger.info({ url, listen, redis: version, mode, durability, store, workers }, "broker started");
}

/** Whoever runs this file gets a broker. Mistakes of configuration end it with 78, anything else with 1. */
run().catch((error: unknown) => {
  const code = error instanceof Error && "exitCode" in error && typeof error.exitCode === "number" ? error.exitCode : 1;
  process.stderr.write(`stint: ${error instanceof Error ? error.message : String(error)}\n`, () => process.exit(code));
});
