import { performance } from "node:perf_hooks";

/** So many refusals a second go out at once, never more than a few together; they cost us little, */
const PER_SECOND = 100;
const TOGETHER = 10;
/** and whoever sends more than that without minding Retry-After waits about so long for each, */
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
 * served past saturation does not fall. Those that wait are let go one by one: let go together, they would come back together.
 */
export class Pacer {
  #room = TOGETHER;
  #countedAt = performance.now();
  #held = 0;
  #turn = 0;

  /** Resolves when a refusal may be sent. */
  hold(): Promise<void> | undefined {
    const now = performance.now();
    this.#room = Math.min(TOGETHER, this.#room + ((now - this.#countedAt) * PER_SECOND) / 1000);
    this.#countedAt = now;
    if (this.#room >= 1) {
      this.#room -= 1;
      return undefined;
    }
    if (this.#held >= MOST_HELD) return undefined;
    this.#held += 1;
    return new Promise((resolve) => {
      setTimeout(() => {
        this.#held -= 1;
        resolve();
      }, this.#holdMs()).unref();
    });
  }

  /** Half to one and a half of it, spread evenly whatever the order (steps of the golden ratio). */
  #holdMs(): number {
    this.#turn = (this.#turn + 0.618_034) % 1;
    return HOLD_MS * (0.5 + this.#turn);
  }
}
