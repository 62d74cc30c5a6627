/** Where a verifier takes its time from; tests hand in one that moves when told to. */
export interface VerifierClock {
  /** Milliseconds since 1970, as the machine believes. It may jump. */
  now(): number;
  /** Milliseconds from some start; never goes back. */
  monotonic(): number;
  /** Runs something later, once; the answer takes it back. A process with nothing else to do ends unless it is `held`. */
  after(ms: number, run: () => void, held?: "held"): () => void;
}

/** An instant on both clocks. */
export interface Stamp {
  readonly monotonic: number;
  readonly now: number;
}

/** The machine's clocks. */
export function systemClock(now: () => number = Date.now): VerifierClock {
  return {
    now,
    monotonic: () => performance.now(),
    after(ms, run, held) {
      const timer = setTimeout(run, ms);
      if (held === undefined) letGo(timer);
      return () => clearTimeout(timer);
    },
  };
}

/** A timer that does not keep a process alive, where the runtime has such a thing. */
export function letGo(timer: unknown): void {
  (timer as { readonly unref?: () => void }).unref?.();
}

export const stampOf = (clock: VerifierClock): Stamp => ({ monotonic: clock.monotonic(), now: clock.now() });

/**
 * Milliseconds since a stamp, by whichever clock says more: the wall clock going back makes nothing younger, and a machine that
 * was asleep, whose monotonic clock may have stood still, does not take old knowledge for new.
 */
export const elapsed = (clock: VerifierClock, since: Stamp): number =>
  Math.max(clock.monotonic() - since.monotonic, clock.now() - since.now, 0);

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `"15s"`, `"1m30s"`, or a number of seconds, in milliseconds. Throws TypeError, naming the option. */
export function durationOption(name: string, value: string | number, atMostMs: number): number {
  const ms = typeof value === "number" ? Math.round(value * 1000) : parse(value);
  if (!Number.isFinite(ms) || ms < 0 || ms > atMostMs)
    throw new TypeError(`${name} must be a span such as "15s" or "2m", at most ${atMostMs / 1000} s`);
  return ms;
}

function parse(text: string): number {
  if (text.length > 32 || !/^(?:\d{1,9}(?:ms|[smh]))+$/.test(text)) return Number.NaN;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|[smh])/g)) total += Number(count) * (UNITS[unit ?? ""] ?? 0);
  return total;
}
