import { performance } from "node:perf_hooks";

/** So many refusals a second go out at once; they cost us little, */
const AT_ONCE_PER_SECOND = 100;
/** and whoever sends more than that without minding Retry-After waits this long for each, */
const HOLD_MS = 1_000;
/** as long as no more than these wait. */
const MOST_HELD = 4_096;

/** Refused for want of room, and for nothing else. */
export const isShed = ({ code }: { readonly code: string }): boolean => code === "overloaded" || code === "too_many_requests";

/** These all say when to come back, and may be asked for again and again by whoever does not listen. */
export const isPaced = (error: { readonly code: string }): boolean =>
  isShed(error) || error.code === "limit_active" || error.code === "limit_rate";

/**
 * Keeps refusing from becoming the work: a client that asks again at once is slowed down by its own connection, so that what is
 * served past saturation does not fall.
 */
export class Pacer {
  #second = 0;
  #gone = 0;
  #held = 0;

  /** Resolves when a refusal may be sent. */
  hold(): Promise<void> | undefined {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#gone = 0;
    }
    this.#gone += 1;
    if (this.#gone <= AT_ONCE_PER_SECOND || this.#held >= MOST_HELD) return undefined;
    this.#held += 1;
    return new Promise((resolve) => {
      setTimeout(() => {
        this.#held -= 1;
        resolve();
      }, HOLD_MS).unref();
    });
  }
}
