/** The read that runs, and the one that those share who asked since it began. */
interface Line<T> {
  readonly running: Promise<T>;
  next?: Promise<T>;
}

/**
 * Reads of the same thing by many at once: never more than one runs, and nobody is given what was read before they asked. Whoever comes
 * while one runs shares the next.
 */
export class SharedReads<K, T> {
  readonly #lines = new Map<K, Line<T>>();

  read(of: K, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(of);
    if (line === undefined) return this.#begin(of, work);
    const begin = (): Promise<T> => this.#begin(of, work);
    return (line.next ??= line.running.then(begin, begin));
  }

  #begin(of: K, work: () => Promise<T>): Promise<T> {
    const line: Line<T> = { running: work() };
    this.#lines.set(of, line);
    const over = (): void => {
      if (line.next === undefined) this.#lines.delete(of);
    };
    line.running.then(over, over);
    return line.running;
  }
}
