import { setTimeout as pause } from "node:timers/promises";

/**
 * Waits for something outside our control (another process, a socket) to become true: asks every few milliseconds and fails
 * with `what` after `withinMs`. Returns the first value that is neither undefined nor false. For our own time use a fake clock.
 */
export async function eventually<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 10_000,
): Promise<T> {
  const until = performance.now() + withinMs;
  let last: unknown;
  for (let delay = 2; performance.now() < until; delay = Math.min(delay * 2, 50)) {
    try {
      const value = await ask();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    await pause(delay);
  }
  throw new Error(`${what}: not within ${withinMs} ms`, { cause: last });
}

/** Remembers what is sent to it, and lets a test wait for the next one that fits. */
export class EventLog<E> {
  readonly all: E[] = [];
  readonly #waiting = new Set<(event: E) => void>();

  /** Hand this to whatever emits. */
  readonly record = (event: E): void => {
    this.all.push(event);
    for (const wake of this.#waiting) wake(event);
  };

  /** How many fit so far. */
  count(fits: (event: E) => boolean): number {
    return this.all.filter(fits).length;
  }

  /** The next event that fits, from now on; fails after `withinMs`. */
  next(fits: (event: E) => boolean = () => true, withinMs = 10_000): Promise<E> {
    return new Promise((resolve, reject) => {
      const wake = (event: E): void => {
        if (!fits(event)) return;
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve(event);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(wake);
        reject(new Error(`no such event within ${withinMs} ms`));
      }, withinMs);
      this.#waiting.add(wake);
    });
  }
}
