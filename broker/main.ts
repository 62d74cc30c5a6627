import { fileURLToPath } from "node:url";
import { describe } from "./background.ts";
import { readConfig, type Config } from "./config.ts";
import { letHeapGrow } from "./heap.ts";
import { prepare, type Prepared } from "./prepare.ts";
import { startBroker, type Given } from "./running.ts";
import { isCron } from "./sweeper/schedule.ts";
import { createLogger, type Logger } from "./telemetry/logger.ts";
import { Crew } from "./workers/crew.ts";
import type { Serving } from "./workers/messages.ts";
import { isWorker, runWorker } from "./workers/worker.ts";

/** Past this the process ends whatever hangs. */
const LAST_MS = 10_000;

/** What is started here: a broker in this process, or the processes of one. */
interface Started extends Serving {
  /** SIGHUP. */
  readonly reload: () => Promise<void> | void;
  /** SIGUSR2. */
  readonly roll: () => Promise<void> | void;
  readonly stop: () => Promise<void>;
  readonly kill: () => void;
}

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

async function run(): Promise<void> {
  letHeapGrow();
  const config = readConfig(process.env, { isCron });
  const logger = createLogger(config.log);
  const given: Given = { config, logger, variable: (name) => process.env[name] };
  if (isWorker()) return await runWorker(given);
  for (const warning of config.warnings) logger.warn({ warning }, "environment looks wrong");
  if (config.redis !== undefined && config.operatorTokensFile === undefined)
    logger.warn({}, "nobody can operate this broker: STINT_OPERATOR_TOKENS_FILE names no one");
  const prepared = await prepare(config, logger);
  const started = await (config.workers > 1 ? startCrew : startHere)(given, prepared).catch(async (error: unknown) => {
    await prepared.embedded?.stop();
    throw error;
  });
  sayStarted(config, logger, started);
  if (prepared.firstToken !== undefined) process.stdout.write(`admin token, shown this once: ${prepared.firstToken.reveal()}\n`);
  obeySignals(logger, started, async () => {
    await started.stop();
    await prepared.embedded?.stop();
  });
}

function sayStarted(config: Config, logger: Logger, { store, facts: { aof, fsync, version, mode } }: Serving): void {
  const { url, listen, workers } = config;
  const durability = aof ? `append-only file, fsync ${fsync}` : "none: leases are lost when Redis dies";
  logger.info({ url, listen, redis: version, mode, durability, store, workers }, "broker started");
}

function obeySignals(logger: Logger, { reload, roll, kill }: Started, stopAll: () => Promise<void>): void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, "broker stopping");
    setTimeout(() => {
      kill();
      process.exit(1);
    }, LAST_MS).unref();
    stopAll().then(
      () => {
        logger.info({}, "broker stopped");
        process.exit(0);
      },
      (error: unknown) => {
        logger.error({ error: describe(error) }, "broker did not stop cleanly");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.on("SIGHUP", () => void reload());
  process.on("SIGUSR2", () => void roll());
}

/** Whoever runs this file gets a broker. Mistakes of configuration end it with 78, anything else with 1. */
run().catch((error: unknown) => {
  const code = error instanceof Error && "exitCode" in error && typeof error.exitCode === "number" ? error.exitCode : 1;
  process.stderr.write(`stint: ${error instanceof Error ? error.message : String(error)}\n`, () => process.exit(code));
});
