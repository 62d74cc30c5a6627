import { readFileSync } from "node:fs";
import type { Scrape } from "./app.ts";
import { openAuditTrail } from "./audit/trail.ts";
import { describe } from "./background.ts";
import { createBroker, type Broker } from "./compose.ts";
import type { Config } from "./config.ts";
import { observe } from "./observe.ts";
import type { Adopted } from "./prepare.ts";
import { listen } from "./serve.ts";
import { createSchedule } from "./sweeper/schedule.ts";
import type { Logger } from "./telemetry/logger.ts";
import { createMetrics, type Metrics } from "./telemetry/metrics.ts";

/** What this process was given. */
export interface Given {
  readonly config: Config;
  readonly logger: Logger;
  /** One variable of its environment: credentials of targets may stand there. */
  readonly variable: (name: string) => string | undefined;
}

/** A broker in this process, listening. */
export interface Running {
  readonly broker: Broker;
  readonly metrics: Metrics;
  /** Reads anew all that may change; what is wrong is said, and what was in force stays. Never throws. */
  reload(): Promise<void>;
  /** Stops serving without breaking a request, ends its work and closes the store. */
  stop(): Promise<void>;
}

/** What processes that serve together share; a broker alone has none of it. */
export interface Companions {
  /** Shows the metrics of all of them. */
  readonly scrape: (own: Metrics) => Scrape;
}

const version = (): string => {
  const read: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return typeof read === "object" && read !== null && "version" in read ? String(read.version) : "0.0.0";
};

/** Makes the broker and opens its listeners. Throws what `createBroker` throws, or `Unusable`; nothing is left running then. */
export async function startBroker({ config, logger, variable }: Given, adopted: Adopted, companions?: Companions): Promise<Running> {
  const metrics = createMetrics({ version: version() });
  const broker = await createBroker({
    url: config.url,
    meter: metrics,
    redis: adopted.redis,
    requireAof: config.requireAof,
    masterKeys: adopted.masterKeys,
    policyPath: config.configPath,
    variable,
    operators: await adopted.operators(),
    log: logger,
    openAudit: (parts) => openAuditTrail(config.auditDir, parts),
  });
  const schedule = createSchedule((duty, error) => {
    metrics.dutyFailed(duty);
    logger.warn({ duty, error: describe(error) }, "a duty failed; it is tried again");
  });
  const scrape = (companions?.scrape ?? alone)(metrics);
  const listening = await observe(broker, metrics, schedule)
    .then(() => listen(config, { broker, logger, metrics, scrape, version: version(), shared: companions !== undefined }))
    .catch(async (error: unknown) => {
      await broker.drain();
      throw error;
    });
  broker.duties.start(config.sweepCron);
  const stopWatching = config.watch
    ? broker.watch((error) => logger.warn({ error: describe(error) }, "configuration is not watched any more"))
    : () => undefined;
  return {
    broker,
    metrics,
    reload: () => reload(broker, adopted, logger),
    async stop() {
      stopWatching();
      broker.announceDrain();
      await listening.stop();
      await schedule.drain();
      await broker.drain();
    },
  };
}

const alone = (metrics: Metrics): Scrape => {
  return async () => {
    const { contentType, body } = await metrics.render();
    return { contentType, text: body };
  };
};

async function reload(broker: Broker, adopted: Adopted, logger: Logger): Promise<void> {
  try {
    const { policy, operators } = await broker.reload(await adopted.operators());
    for (const { file, line, column, severity, message } of [...policy.problems, ...operators])
      logger.warn({ file, line, column, severity, problem: message }, "configuration has a problem");
    if (policy.ok && operators.length === 0) logger.info({ policy: policy.policy.version }, "configuration reloaded");
    else logger.error({ policy: policy.policy.version }, "configuration refused; what was in force stays");
  } catch (error) {
    logger.error({ error: describe(error) }, "configuration could not be read; what was in force stays");
  }
}
