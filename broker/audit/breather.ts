import { setImmediate, setTimeout } from "node:timers/promises";

/** Waits between two pieces of a long piece of work, each about a millisecond's: then requests have their turn. */
export type Breather = () => Promise<unknown>;

/** Work takes no more than one part in so many of a processor while it is in time; */
const ONE_IN = 4;
/** what has waited longer than this is late: then others are only let in between. */
const LATE_MS = 2_500;
const LONGEST_MS = 25;

/** How it tells the time, in milliseconds, and waits. */
interface Watch {
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<unknown>;
}
const WATCH: Watch = { now: () => performance.now(), pause: (ms) => (ms > 0 ? setTimeout(ms) : setImmediate()) };

/** For work whose oldest piece has waited so long. */
export function breather(waitedMs: number, { now, pause }: Watch = WATCH): Breather {
  let since = now();
  return async () => {
    const othersMs = waitedMs > LATE_MS ? 0 : Math.min(LONGEST_MS, (now() - since) * (ONE_IN - 1));
    await pause(Math.ceil(othersMs));
    since = now();
  };
}
