import type { VerifierClock } from "./clock.ts";

const EVERY_MS = 5_000;
const AT_MOST_EVERY_MS = 250;

/**
 * Says what has been applied: every five seconds, and at once after something was revoked, though at most four times a second. The
 * broker's receipts are made of these, so one is sent only when there is a position that all of it is covered by.
 */
export class Acknowledgements {
  readonly #clock: VerifierClock;
  readonly #send: (appliedAt: number) => Promise<void>;
  #cancel: (() => void) | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #sentAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(clock: VerifierClock, send: (appliedAt: number) => Promise<void>) {
    this.#clock = clock;
    this.#send = send;
  }

  /** There is something to acknowledge: the periodic ones begin. */
  begin(): void {
    if (this.#dueAt === Number.POSITIVE_INFINITY) this.applied();
  }

  /** Revocations were applied. */
  applied(): void {
    this.#plan(Math.max(this.#sentAt + AT_MOST_EVERY_MS, this.#clock.monotonic()));
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  #plan(at: number): void {
    if (this.#closed || at >= this.#dueAt) return;
    this.#cancel?.();
    this.#dueAt = at;
    this.#cancel = this.#clock.after(Math.max(0, at - this.#clock.monotonic()), () => this.#fire());
  }

  #fire(): void {
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#sentAt = this.#clock.monotonic();
    this.#plan(this.#sentAt + EVERY_MS);
    void this.#send(this.#clock.now());
  }
}
