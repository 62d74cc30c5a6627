import type { Clock } from "../../domain/time.ts";

/** A holder of the exporter's lock that does not come back for so long is taken to be dead. Rounds come every second. */
export const LOCK_MS = 15_000;
/** The lock must have this much left when a batch goes to the disk. */
const MARGIN_MS = 5_000;

/** For how long the files of a directory are surely this exporter's: from when it asked for the lock that it got. */
export class Turn {
  readonly #clock: Clock;
  #until: number;

  constructor(clock: Clock, askedAt: number) {
    this.#clock = clock;
    this.#until = askedAt + LOCK_MS;
  }

  /** The lock was asked for again then, and got. */
  lengthen(askedAt: number): void {
    this.#until = askedAt + LOCK_MS;
  }

  readonly isOurs = (): boolean => this.#clock() < this.#until;
  readonly hasTimeForABatch = (): boolean => this.#clock() <= this.#until - MARGIN_MS;
}
