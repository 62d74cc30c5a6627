/** Proofs that were used, until they are too old to be used again. Bounded: what is forgotten early takes everything as old with it. */
export class SpentProofs {
  readonly #max: number;
  /** Until when each must be remembered, in milliseconds; the oldest first, as they came. */
  readonly #spent = new Map<string, number>();
  #floor = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#spent.size;
  }

  /** True the first time. `until`: when the proof is too old by itself; what is no later than something forgotten is refused. */
  spend(name: string, until: number, now: number): boolean {
    for (const [oldest, over] of this.#spent) {
      if (over > now) break;
      this.#spent.delete(oldest);
    }
    if (until <= this.#floor || this.#spent.has(name)) return false;
    this.#spent.set(name, until);
    if (this.#spent.size > this.#max) {
      const [first] = this.#spent;
      if (first !== undefined) {
        this.#spent.delete(first[0]);
        this.#floor = Math.max(this.#floor, first[1]);
      }
    }
    return true;
  }
}
