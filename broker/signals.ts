import { describe } from "./background.ts";
import type { Logger } from "./telemetry/logger.ts";

/** Past this the process ends whatever hangs. */
const LAST_MS = 10_000;

/** What signals ask of whatever was started. */
export interface Hands {
  /** SIGHUP. */
  readonly reload: () => Promise<void> | void;
  /** SIGUSR2. */
  readonly roll: () => Promise<void> | void;
  /** SIGTERM, SIGINT. */
  readonly stop: () => Promise<void>;
  readonly kill: () => void;
}

/**
 * Obeys signals from now on. What comes before there is anything to obey with is done once there is: a reload, since files may have
 * been read before they were changed, and a stop, which leaves nothing behind then. There is nobody to replace until then.
 */
export function obeySignals(logger: Logger, starting: Promise<Hands>): void {
  let hands: Hands | undefined;
  // a start that fails is told by whoever waits for it
  const started = (then: (hands: Hands) => unknown): void => void starting.then(then, () => undefined);
  started((those) => (hands = those));
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, "broker stopping");
    setTimeout(() => {
      hands?.kill();
      process.exit(1);
    }, LAST_MS).unref();
    started((those) => stopped(logger, those));
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.on("SIGHUP", () => started(({ reload }) => reload()));
  process.on("SIGUSR2", () => void hands?.roll());
}

async function stopped(logger: Logger, { stop }: Hands): Promise<void> {
  try {
    await stop();
    logger.info({}, "broker stopped");
    process.exit(0);
  } catch (error) {
    logger.error({ error: describe(error) }, "broker did not stop cleanly");
    process.exit(1);
  }
}
