/** What a connection is wanted for. */
export type Lane = "issue" | "revoke";

interface Waiter {
  readonly begin: () => void;
}

/**
 * How many connections are in use at once, and for what. Neither lane may take them all: however many credentials are due, some can
 * be made, and however many are asked for, some can end.
 */
export class Slots {
  readonly #size: number;
  readonly #most: number;
  readonly #held: Record<Lane, number> = { issue: 0, revoke: 0 };
  readonly #waiting: Readonly<Record<Lane, Waiter[]>> = { issue: [], revoke: [] };

  constructor(size: number) {
    this.#size = size;
    this.#most = size - Math.max(1, Math.floor(size / 4));
  }

  /** How many are in use. */
  get held(): number {
    return this.#held.issue + this.#held.revoke;
  }

  /** Waits for a turn; the answer gives it back, once. Rejects with the signal's reason. */
  take(lane: Lane, signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(asError(signal.reason));
      const onAbort = (): void => {
        this.#waiting[lane].splice(this.#waiting[lane].indexOf(waiter), 1);
        reject(asError(signal.reason));
      };
      const waiter: Waiter = {
        begin: () => {
          signal.removeEventListener("abort", onAbort);
          this.#held[lane] += 1;
          let over = false;
          resolve(() => {
            if (over) return;
            over = true;
            this.#held[lane] -= 1;
            this.#next();
          });
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting[lane].push(waiter);
      return this.#next();
    });
  }

  #next(): void {
    while (this.held < this.#size) {
      // whoever holds fewer goes first, so that a long queue does not make the other lane wait
      const order: readonly Lane[] = this.#held.issue <= this.#held.revoke ? ["issue", "revoke"] : ["revoke", "issue"];
      const lane = order.find((each) => this.#waiting[each].length > 0 && this.#held[each] < this.#most);
      if (lane === undefined) return;
      this.#waiting[lane].shift()?.begin();
    }
  }
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)));
