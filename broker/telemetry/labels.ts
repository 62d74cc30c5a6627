/** A metric that hands out one child per combination of label values. */
interface Labelled<C> {
  labels(...values: string[]): C;
}

/** By the first value, then the second, and so on; at the end of a way stands the child. */
interface Node<C> {
  child: C | undefined;
  readonly next: Map<string, Node<C>>;
}

/** Remembers the children of a metric: looking one up by its labels costs more than counting. The label sets are closed, so this stays small. */
export class Children<C> {
  readonly #metric: Labelled<C>;
  readonly #root: Node<C> = { child: undefined, next: new Map() };

  constructor(metric: Labelled<C>) {
    this.#metric = metric;
  }

  of(...values: string[]): C {
    let node = this.#root;
    for (const value of values) {
      let next = node.next.get(value);
      if (next === undefined) node.next.set(value, (next = { child: undefined, next: new Map() }));
      node = next;
    }
    return (node.child ??= this.#metric.labels(...values));
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
