/** A cache of two generations: what is not used while the younger one fills is forgotten. Bounded by entries and by bytes. */
export class BoundedCache<V> {
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();
  #youngBytes = 0;
  #oldBytes = 0;

  /** Either bound may be 0: then nothing is kept. */
  constructor(maxEntries: number, maxBytes: number) {
    this.#maxEntries = Math.floor(maxEntries / 2);
    this.#maxBytes = Math.floor(maxBytes / 2);
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Bytes its owner said they take. */
  get bytes(): number {
    return this.#youngBytes + this.#oldBytes;
  }

  get(key: string): V | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  /** Whether an entry found would be forgotten soon, and should be set again because it is still used. */
  isAgeing(key: string): boolean {
    return !this.#young.has(key);
  }

  set(key: string, value: V, bytes: number): void {
    if (this.#maxEntries === 0 || bytes > this.#maxBytes) return;
    if (this.#young.has(key)) return;
    if (this.#young.size >= this.#maxEntries || this.#youngBytes + bytes > this.#maxBytes) {
      this.#old = this.#young;
      this.#oldBytes = this.#youngBytes;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    if (this.#old.delete(key)) this.#oldBytes -= bytes;
    this.#young.set(key, value);
    this.#youngBytes += bytes;
  }

  delete(key: string, bytes: number): void {
    if (this.#young.delete(key)) this.#youngBytes -= bytes;
    else if (this.#old.delete(key)) this.#oldBytes -= bytes;
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngBytes = 0;
    this.#oldBytes = 0;
  }
}
