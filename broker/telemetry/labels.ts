/** A metric that hands out one child per combination of label values. */
interface Labelled<C> {
  labels(...values: string[]): C;
}

/** Remembers the children of a metric: looking one up by its labels costs more than counting. The label sets are closed, so this stays small. */
export class Children<C> {
  readonly #metric: Labelled<C>;
  readonly #known = new Map<string, C>();

  constructor(metric: Labelled<C>) {
    this.#metric = metric;
  }

  of(...values: string[]): C {
    const key = values.join("\n");
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const made = this.#metric.labels(...values);
    this.#known.set(key, made);
    return made;
  }
}

/** The values a label may take; everything else is `other`, so that no caller can make us remember what it likes. */
export class ClosedSet {
  readonly #limit: number;
  #values: ReadonlySet<string> = new Set();

  constructor(limit: number) {
    this.#limit = limit;
  }

  replace(values: Iterable<string>): void {
    this.#values = new Set([...values].slice(0, this.#limit));
  }

  /** The value if it is in the set, else `other`. */
  fit(value: string): string {
    return this.#values.has(value) ? value : "other";
  }

  /** As `fit`, but the first ones that come are let in: for names that only our own configuration makes. */
  admit(value: string): string {
    if (!this.#values.has(value) && this.#values.size < this.#limit) this.#values = new Set([...this.#values, value]);
    return this.fit(value);
  }
}

/** Targets that have a label of their own. */
export const MAX_TARGETS = 20;
