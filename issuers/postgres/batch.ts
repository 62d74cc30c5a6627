/** How many batches may be under way: more would each be smaller, and pay less. */
const AT_ONCE = 3;
/** Items of one batch. */
const LARGEST = 100;

export type Settled<R> = { readonly value: R } | { readonly error: unknown };

/**
 * Gathers what is asked for while earlier batches are under way, so that many calls at once share round trips and none waits when
 * there is no crowd. Whoever asks for the same key shares the answer. `work` answers for every key it was given.
 */
export class Batches<K, R> {
  readonly #work: (keys: readonly K[]) => Promise<ReadonlyMap<K, Settled<R>>>;
  #waiting = new Map<K, PromiseWithResolvers<R>>();
  #running = 0;

  constructor(work: (keys: readonly K[]) => Promise<ReadonlyMap<K, Settled<R>>>) {
    this.#work = work;
  }

  ask(key: K): Promise<R> {
    const known = this.#waiting.get(key);
    if (known !== undefined) return known.promise;
    const asked = withResolvers<R>();
    this.#waiting.set(key, asked);
    // what is asked for in the same turn of the loop goes together
    setImmediate(() => this.#next());
    return asked.promise;
  }

  #next(): void {
    if (this.#running >= AT_ONCE || this.#waiting.size === 0) return;
    const taken = [...this.#waiting].slice(0, LARGEST);
    for (const [key] of taken) this.#waiting.delete(key);
    this.#running += 1;
    void this.#run(taken).finally(() => {
      this.#running -= 1;
      this.#next();
    });
  }

  async #run(taken: readonly (readonly [K, PromiseWithResolvers<R>])[]): Promise<void> {
    let settled: ReadonlyMap<K, Settled<R>>;
    try {
      settled = await this.#work(taken.map(([key]) => key));
    } catch (error) {
      for (const [, asked] of taken) asked.reject(error);
      return;
    }
    for (const [key, asked] of taken) {
      const answer = settled.get(key) ?? { error: new Error("a batch did not answer for all of its keys") };
      if ("error" in answer) asked.reject(answer.error);
      else asked.resolve(answer.value);
    }
  }
}

interface PromiseWithResolvers<R> {
  readonly promise: Promise<R>;
  readonly resolve: (value: R) => void;
  readonly reject: (error: unknown) => void;
}

/** `Promise.withResolvers` of later Nodes. */
function withResolvers<R>(): PromiseWithResolvers<R> {
  let [resolve, reject]: [(value: R) => void, (error: unknown) => void] = [() => undefined, () => undefined];
  const promise = new Promise<R>((onResolve, onReject) => ([resolve, reject] = [onResolve, onReject]));
  return { promise, resolve, reject };
}
