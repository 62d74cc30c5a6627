import type { Background, Log } from "./parts.ts";
import { pause } from "./sweeper/schedule.ts";

/** Keeps account of work that goes on behind an answer, so that a drain can wait for it and no error is lost. */
export function createBackground(log: Log): Background {
  // several callers may wait for the same work
  const running = new Map<Promise<void>, Promise<void>>();
  return {
    get size() {
      return running.size;
    },
    run(name, work) {
      const run = work();
      if (running.has(run)) return;
      const over = (): void => void running.delete(run);
      const failed = (error: unknown): void => {
        over();
        log.error({ work: name, error: describe(error) }, "background work failed");
      };
      running.set(run, run.then(over, failed));
    },
    async settle(withinMs) {
      const over = new AbortController();
      const late = pause(withinMs, over.signal).then(() => over.abort());
      // What runs may start more: look again until nothing is left.
      while (running.size > 0 && !over.signal.aborted) await Promise.race([Promise.all(running.values()), late]);
      over.abort();
    },
  };
}

/** An error in a log field: its class and message, never its stack or its data. */
export const describe = (error: unknown): string =>
  (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).slice(0, 300);

/** The same for a person's list: what a target says may hold anything, so only its first line is kept. */
export const firstLine = (error: unknown): string => describe(error).split("\n")[0] ?? "failed";
