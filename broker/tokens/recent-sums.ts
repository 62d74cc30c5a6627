/** A SHA-256 as eight numbers. */
const WORDS = 8;

/**
 * The SHA-256 sums that were added last: a table of a fixed size, outside of what V8 collects. A hundred thousand texts in a set would be
 * walked at each collection of the old generation, for as long as the broker lives.
 *
 * Each sum has two places that it may lie in, by its first bits. A new one takes the first and moves what lay there to the second: so
 * what is forgotten is the older of those that share them, at times before the table is full.
 */
export class RecentSums {
  readonly #table: Uint32Array;
  readonly #mask: number;
  readonly #asked = new Uint32Array(WORDS);

  /** Remembers up to `most` sums, a power of two, in 32 bytes each. */
  constructor(most: number) {
    if (most < 2 || !Number.isInteger(Math.log2(most))) throw new RangeError(`${most} is no power of two`);
    this.#table = new Uint32Array(most * WORDS);
    this.#mask = most / 2 - 1;
  }

  /** Whether this sum (32 bytes) is among those that are remembered. It counts as added anew. */
  has(sum: Buffer): boolean {
    const first = this.#placeOf(sum);
    if (this.#lies(first)) return true;
    if (!this.#lies(first + WORDS)) return false;
    this.#put(first);
    return true;
  }

  /** Remembers a sum of 32 bytes. */
  add(sum: Buffer): void {
    const first = this.#placeOf(sum);
    if (!this.#lies(first)) this.#put(first);
  }

  /** Takes the sum apart and tells where its two places begin. */
  #placeOf(sum: Buffer): number {
    const asked = this.#asked;
    for (let word = 0; word < WORDS; word += 1) asked[word] = sum.readUInt32LE(word * 4);
    return ((asked[0] ?? 0) & this.#mask) * 2 * WORDS;
  }

  #lies(at: number): boolean {
    for (let word = 0; word < WORDS; word += 1) if (this.#table[at + word] !== this.#asked[word]) return false;
    return true;
  }

  #put(first: number): void {
    this.#table.copyWithin(first + WORDS, first, first + WORDS);
    this.#table.set(this.#asked, first);
  }
}
