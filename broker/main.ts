import { readFileSync } from "node:fs";
import { openAuditTrail } from "./audit/trail.ts";
import { describe } from "./background.ts";
import { createBroker, type Broker } from "./compose.ts";
import { readConfig, type Config } from "./config.ts";
import { observe } from "./observe.ts";
import { prepare, type Prepared } from "./prepare.ts";
import { listen, type Listening } from "./serve.ts";
import { createSchedule, isCron } from "./sweeper/schedule.ts";
import { createLogger, type Logger } from "./telemetry/logger.ts";
import { createMetrics } from "./telemetry/metrics.ts";

/** Requests under way have this long once we are asked to stop; the whole drain takes at most ten seconds. */
const REQUESTS_MS = 4_000;
/** Past this the process ends whatever hangs. */
const LAST_MS = 10_000;

/** A broker in this process, listening. */
interface Running {
  readonly broker: Broker;
  readonly prepared: Prepared;
  readonly listening: Listening;
  stop(): Promise<void>;
}

const version = (): string => {
  const read: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return typeof read === "object" && read !== null && "version" in read ? String(read.version) : "0.0.0";
};

async function start(config: Config, logger: Logger): Promise<Running> {
  for (const warning of config.warnings) logger.warn({ warning }, "environment looks wrong");
  if (config.workers > 1)
    logger.warn({ workers: config.workers }, "this version serves from one process; for more, run several brokers on one Redis");
  if (config.redis !== undefined && config.operatorTokensFile === undefined)
    logger.warn({}, "nobody can operate this broker: STINT_OPERATOR_TOKENS_FILE names no one");
  const prepared = await prepare(config, logger);
  try {
    const broker = await createBroker({
      url: config.url,
      redis: prepared.redis,
      requireAof: config.requireAof,
      masterKeys: prepared.masterKeys,
      policyPath: config.configPath,
      variable: (name) => process.env[name],
      operators: await prepared.operators(),
      log: logger,
      openAudit: (parts) => openAuditTrail(config.auditDir, parts),
    });
    const metrics = createMetrics({ version: version() });
    const schedule = createSchedule((duty, error) => logger.warn({ duty, error: describe(error) }, "a duty failed; it is tried again"));
    const listening = await observe(broker, metrics, schedule)
      .then(() => listen(config, broker, logger, metrics, version()))
      .catch(async (error: unknown) => {
        await broker.drain();
        throw error;
      });
    broker.duties.start(config.sweepCron);
    const stopWatching = config.watch
      ? broker.watch((error) => logger.warn({ error: describe(error) }, "configuration is not watched any more"))
      : () => undefined;
    const stop = async (): Promise<void> => {
      stopWatching();
      broker.announceDrain();
      await listening.stop(REQUESTS_MS);
      await schedule.drain();
      await broker.drain();
      await prepared.embedded?.stop();
    };
    return { broker, prepared, listening, stop };
  } catch (error) {
    await prepared.embedded?.stop();
    throw error;
  }
}

/** SIGHUP: everything that may change is read anew; what is wrong is said, and what was in force stays. */
async function reload({ broker, prepared }: Running, logger: Logger): Promise<void> {
  const { policy, operators } = await broker.reload(await prepared.operators());
  for (const { file, line, column, severity, message } of [...policy.problems, ...operators])
    logger.warn({ file, line, column, severity, problem: message }, "configuration has a problem");
  if (policy.ok && operators.length === 0) logger.info({ policy: policy.policy.version }, "configuration reloaded");
  else logger.error({ policy: policy.policy.version }, "configuration refused; what was in force stays");
}

async function run(): Promise<void> {
  const config = readConfig(process.env, { isCron });
  const logger = createLogger(config.log);
  const running = await start(config, logger);
  const { aof, fsync, version: redis, mode } = running.broker.store.facts();
  logger.info(
    {
      url: config.url,
      listen: config.listen,
      redis,
      mode,
      durability: aof ? `append-only file, fsync ${fsync}` : "none: leases are lost when Redis dies",
      store: running.broker.store.id,
    },
    "broker started",
  );
  const { firstToken } = running.prepared;
  if (firstToken !== undefined) process.stdout.write(`admin token, shown this once: ${firstToken.reveal()}\n`);

  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, "broker stopping");
    setTimeout(() => process.exit(1), LAST_MS).unref();
    running.stop().then(
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
  process.on(
    "SIGHUP",
    () =>
      void reload(running, logger).catch((error: unknown) =>
        logger.error({ error: describe(error) }, "configuration could not be read; what was in force stays"),
      ),
  );
}

/** Whoever runs this file gets a broker. Mistakes of configuration end it with 78, anything else with 1. */
run().catch((error: unknown) => {
  const code = error instanceof Error && "exitCode" in error && typeof error.exitCode === "number" ? error.exitCode : 1;
  process.stderr.write(`stint: ${error instanceof Error ? error.message : String(error)}\n`, () => process.exit(code));
});
