import { type Stamp, type VerifierClock, elapsed } from "./clock.ts";

/** `as_of` may run ahead of our own clock by this much between two events before it is taken for a jump. */
const JUMP_MS = 5_000;

/**
 * How old our knowledge is. Events carry `as_of`, the broker's instant up to which it had read everything; it is never compared
 * with our wall clock. Per connection, the smallest difference seen between our monotonic clock and the broker's instants tells
 * how old an `as_of` was on arrival, so one that lags or stands still ages although events keep coming.
 */
export class Freshness {
  readonly #clock: VerifierClock;
  /** Our monotonic clock minus the broker's, at most. */
  #offset: number | undefined;
  #freshAt: Stamp | undefined;
  #asOf = 0;
  #first = true;

  constructor(clock: VerifierClock) {
    this.#clock = clock;
  }

  /** A new connection, perhaps to another broker. `date`: its `Date` header, cut to whole seconds, in milliseconds. */
  connected(date: number | undefined): void {
    this.#offset = date === undefined ? undefined : this.#clock.monotonic() - date;
    this.#first = true;
  }

  /**
   * Takes an event's `as_of`, and the broker's instant of writing it where it says so. False when that jumped ahead: then nothing
   * about this connection's time is to be believed.
   */
  observe(asOf: number, written: number = asOf): boolean {
    const { monotonic, now } = { monotonic: this.#clock.monotonic(), now: this.#clock.now() };
    const seen = monotonic - Math.max(written, asOf);
    if (!this.#first && this.#offset !== undefined && seen < this.#offset - JUMP_MS) return false;
    this.#offset = Math.min(this.#offset ?? seen, seen);
    // another broker's clock may be behind that of the last one; one broker's own never goes back
    this.#asOf = this.#first ? asOf : Math.max(this.#asOf, asOf);
    this.#first = false;
    const age = monotonic - asOf - this.#offset;
    const at: Stamp = { monotonic: monotonic - age, now: now - age };
    // what was known stays known: an older broker makes nothing older
    if (this.#freshAt === undefined || at.monotonic > this.#freshAt.monotonic) this.#freshAt = at;
    return true;
  }

  /** Milliseconds; infinite before the first event. */
  get ageMs(): number {
    return this.#freshAt === undefined ? Number.POSITIVE_INFINITY : elapsed(this.#clock, this.#freshAt);
  }

  /** The broker's clock had reached this instant (milliseconds) for certain; 0 when not known. */
  get asOf(): number {
    return this.#asOf;
  }
}
