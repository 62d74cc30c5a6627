import type { Clock } from "../../domain/time.ts";

/** A span in words; the parts add up. */
export interface Span {
  readonly days?: number;
  readonly hours?: number;
  readonly minutes?: number;
  readonly seconds?: number;
  readonly ms?: number;
}

/** A clock that moves only when told to: call it for the time in milliseconds. */
export interface FakeClock extends Clock {
  /** Moves on (or back, with a negative span) and returns the new time. */
  advance(by: Span): number;
  /** Jumps to an instant: milliseconds, or RFC 3339. */
  set(to: number | string): number;
}

/** Starts at noon UTC on 2 March 2026 unless told otherwise. */
export function fakeClock(start: number | string = "2026-03-02T12:00:00.000Z"): FakeClock {
  let now = toMs(start);
  const advance = (by: Span): number => {
    now += (by.days ?? 0) * 86_400_000 + (by.hours ?? 0) * 3_600_000 + (by.minutes ?? 0) * 60_000 + (by.seconds ?? 0) * 1000 + (by.ms ?? 0);
    return now;
  };
  const set = (to: number | string): number => {
    now = toMs(to);
    return now;
  };
  return Object.assign(() => now, { advance, set });
}

function toMs(instant: number | string): number {
  const ms = typeof instant === "number" ? instant : Date.parse(instant);
  if (!Number.isFinite(ms)) throw new TypeError(`not an instant: ${instant}`);
  return ms;
}
