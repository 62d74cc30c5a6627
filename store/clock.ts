import { CLOCK_AGREEMENT_MS, type Clock } from "../domain/time.ts";
import type { StoreClock } from "./api.ts";
import type { Connection } from "./connect.ts";

/** A comparison older than this says nothing any more. */
const STALE_MS = 10_000;

/** Redis TIME, sampled and carried forward by the monotonic clock, so that a jump of the machine's clock between samples moves nothing. */
export interface SampledClock extends StoreClock {
  sample(): Promise<void>;
  start(everyMs: number): void;
  stop(): void;
}

/** `wall` is the broker's own clock, compared with Redis's; `monotonic` never jumps. Both in milliseconds. */
export function sampleClock(connection: Connection, wall: Clock, monotonic: () => number = () => performance.now()): SampledClock {
  let base = wall();
  let at = monotonic();
  let offset = Number.POSITIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  const sample = async (): Promise<void> => {
    const before = monotonic();
    const [primary] = connection.primaries();
    if (primary === undefined) return;
    const [seconds = 0, micros = 0] = await primary.time();
    const after = monotonic();
    if (after - before > CLOCK_AGREEMENT_MS) return; // too slow a reply to compare by
    base = seconds * 1000 + Math.floor(micros / 1000) + (after - before) / 2;
    at = after;
    offset = wall() - base;
  };
  const offsetMs = (): number | undefined => (monotonic() - at <= STALE_MS ? offset : undefined);
  return {
    now: () => Math.floor(base + (monotonic() - at)),
    agreed: () => Math.abs(offsetMs() ?? Number.POSITIVE_INFINITY) <= CLOCK_AGREEMENT_MS,
    offsetMs,
    sample,
    start(everyMs) {
      timer = setInterval(() => void sample().catch(() => undefined), everyMs); // a failed sample only ages the last one
      timer.unref();
    },
    stop() {
      clearInterval(timer);
    },
  };
}
