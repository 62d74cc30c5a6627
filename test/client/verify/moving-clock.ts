import type { VerifierClock } from "../../../client/verify/clock.ts";

/** A verifier's clock that moves only when told to, timers and all. */
export interface MovingClock extends VerifierClock {
  /** Both clocks move on, and what is due happens. */
  advance(ms: number): void;
  /** Only the wall clock jumps, ahead or back. */
  jump(ms: number): void;
  readonly timers: number;
}

/** Starts at noon UTC on 2 March 2026. */
export function movingClock(start: number = Date.parse("2026-03-02T12:00:00.000Z")): MovingClock {
  let monotonic = 1_000;
  let wall = start;
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  return {
    now: () => wall,
    monotonic: () => monotonic,
    after(ms, run) {
      const timer = { at: monotonic + ms, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      monotonic += ms;
      wall += ms;
      for (const timer of [...timers].filter(({ at }) => at <= monotonic).toSorted((a, b) => a.at - b.at))
        if (timers.delete(timer)) timer.run();
    },
    jump(ms) {
      wall += ms;
    },
    get timers() {
      return timers.size;
    },
  };
}

/** Waits for something that real input and output will bring about. */
export async function until(condition: () => boolean, what = "the condition"): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`${what} did not come about`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
