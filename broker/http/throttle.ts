import type { Clock } from "../../domain/time.ts";

/** So many failures from one source within a window; then it waits for the window's end. */
const MAX_FAILURES = 10;
const WINDOW_MS = 60_000;
/** Sources remembered at once; the oldest is forgotten first, so that memory stays bounded. */
const MAX_SOURCES = 10_000;
const MAX_KNOWN = 1_000;

/**
 * Slows down guessing. It counts failures by source and never locks out a secret that has worked before: otherwise anybody
 * behind the same address could keep a responder from revoking.
 */
export class Throttle {
  readonly #clock: Clock;
  readonly #failures = new Map<string, { count: number; until: number }>();
  readonly #known = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds that the source has to wait before it may try this secret (by its hash); 0 when it may. */
  waitMs(source: string, secretHash: string): number {
    const entry = this.#failures.get(source);
    if (entry === undefined || entry.count < MAX_FAILURES || this.#known.has(secretHash)) return 0;
    const left = entry.until - this.#clock();
    if (left <= 0) this.#failures.delete(source);
    return Math.max(0, left);
  }

  failed(source: string): void {
    const now = this.#clock();
    const entry = this.#failures.get(source);
    if (entry !== undefined && entry.until > now) {
      entry.count++;
      return;
    }
    this.#failures.delete(source);
    if (this.#failures.size >= MAX_SOURCES) forgetOldest(this.#failures);
    this.#failures.set(source, { count: 1, until: now + WINDOW_MS });
  }

  succeeded(secretHash: string): void {
    if (this.#known.has(secretHash)) return;
    if (this.#known.size >= MAX_KNOWN) forgetOldest(this.#known);
    this.#known.add(secretHash);
  }
}

function forgetOldest(collection: Map<string, unknown> | Set<string>): void {
  for (const key of collection.keys()) {
    collection.delete(key);
    return;
  }
}
