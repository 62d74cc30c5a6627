import { systemClock, type VerifierClock } from "../../client/verify/clock.ts";

/** A verifier's clock on real time that can be put ahead: what is known ages at once, connections and timers do not. */
export interface AheadClock extends VerifierClock {
  move(ms: number): void;
}

export function aheadClock(): AheadClock {
  const real = systemClock();
  let ahead = 0;
  return {
    now: () => real.now() + ahead,
    monotonic: () => real.monotonic() + ahead,
    after: (ms, run, held) => real.after(ms, run, held),
    move: (ms) => void (ahead += ms),
  };
}

/** Asks again and again until it is so; throws after ten seconds. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("it did not come about");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
