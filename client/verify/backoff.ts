const MAX_MS = 5_000;
const HALF = 0x8000_0000;

/** Between 0 and 1, from the platform's own randomness. */
function chance(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? HALF) / 0x1_0000_0000;
}

/**
 * How long to wait before trying again for the n-th time (from 0): half of a doubling span for certain, the other half by chance,
 * so that a thousand verifiers do not come back at once. At most five seconds: then a feed is back before anybody is stale twice.
 */
export function backoffMs(attempt: number, baseMs = 250, random: () => number = chance): number {
  const span = Math.min(MAX_MS, baseMs * 2 ** Math.min(attempt, 10));
  return Math.round(span / 2 + (random() * span) / 2);
}
