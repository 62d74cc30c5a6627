/** Who asks, as far as fairness goes: what they say of themselves, believed for nothing else. */
export interface Who {
  readonly trust: string;
  readonly workload: string;
}

/** One that waits, and what wakes it. */
export interface Waiting {
  readonly who: Who;
  readonly wake: () => void;
}

/** Waiting in turn: trusts take turns, and within a trust its workloads do, however many of its own requests each has sent. */
export class FairQueue {
  /** In the order of their next turn. */
  readonly #trusts = new Map<string, Map<string, Set<Waiting>>>();
  readonly #perTrust = new Map<string, number>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  ofTrust(trust: string): number {
    return this.#perTrust.get(trust) ?? 0;
  }

  ofWorkload({ trust, workload }: Who): number {
    return this.#trusts.get(trust)?.get(workload)?.size ?? 0;
  }

  add(waiting: Waiting): void {
    const { trust, workload } = waiting.who;
    const workloads = this.#trusts.get(trust) ?? new Map<string, Set<Waiting>>();
    this.#trusts.set(trust, workloads);
    const line = workloads.get(workload) ?? new Set();
    workloads.set(workload, line.add(waiting));
    this.#perTrust.set(trust, this.ofTrust(trust) + 1);
    this.#size += 1;
  }

  /** False when it does not wait any more. */
  remove(waiting: Waiting): boolean {
    const { trust, workload } = waiting.who;
    const workloads = this.#trusts.get(trust);
    const line = workloads?.get(workload);
    if (workloads === undefined || line?.delete(waiting) !== true) return false;
    if (line.size === 0) workloads.delete(workload);
    if (workloads.size === 0) this.#trusts.delete(trust);
    const left = this.ofTrust(trust) - 1;
    if (left === 0) this.#perTrust.delete(trust);
    else this.#perTrust.set(trust, left);
    this.#size -= 1;
    return true;
  }

  /** Takes out whoever's turn it is among those that `may`; both its trust and its workload go to the end of their lines. */
  next(may: (who: Who) => boolean): Waiting | undefined {
    for (const [trust, workloads] of this.#trusts) {
      for (const [workload, line] of workloads) {
        const [first] = line;
        if (first === undefined || !may(first.who)) continue;
        this.remove(first);
        if (workloads.delete(workload)) workloads.set(workload, line);
        if (this.#trusts.delete(trust)) this.#trusts.set(trust, workloads);
        return first;
      }
    }
    return undefined;
  }
}
