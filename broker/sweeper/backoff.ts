/** Longest wait between two tries; also the pace at which stuck leases are tried, for ever. */
export const MAX_BACKOFF_MS = 15 * 60_000;
const FIRST_BACKOFF_MS = 2_000;
/** After so many tries, or so long, a person should look. */
const STUCK_ATTEMPTS = 20;
const STUCK_AFTER_MS = 24 * 3_600_000;

/** Between 0 and 1, 1 excluded. */
export type Random = () => number;

/**
 * How long to wait after the given number of failed tries: between half of min(15 min, 2 s x 2^n) and all of it, so that a thousand
 * leases that failed together are not tried together, and none of them uses up its tries within an hour by bad luck.
 */
export function backoffMs(attempts: number, random: Random): number {
  const ceiling = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(Math.max(attempts, 0), 20));
  return Math.floor((ceiling * (1 + random())) / 2);
}

/** Whether a lease that failed again is one for people: it stays due, at the slowest pace. */
export function isStuck(failure: { readonly permanent: boolean; readonly attempts: number; readonly dueForMs: number }): boolean {
  return failure.permanent || failure.attempts >= STUCK_ATTEMPTS || failure.dueForMs >= STUCK_AFTER_MS;
}
