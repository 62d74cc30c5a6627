/** What a mark covers: everything, or all leases of one workload (its subject), grant, trust or signing key. */
export type MarkKind = "all" | "workload" | "grant" | "trust" | "key";

/** What marks look at in a token. */
export interface Marked {
  readonly instant: number;
  readonly subject: string;
  /** The part of the subject before the first colon. */
  readonly trust: string;
  readonly grant: string;
  readonly kid: string;
}

const KINDS: ReadonlySet<string> = new Set<MarkKind>(["all", "workload", "grant", "trust", "key"]);
export const isMarkKind = (text: unknown): text is MarkKind => typeof text === "string" && KINDS.has(text);

/** Revocations of many at once: a lease whose instant is at or before a mark that covers it is revoked. */
export class Marks {
  readonly #byKind = {
    workload: new Map<string, number>(),
    grant: new Map<string, number>(),
    trust: new Map<string, number>(),
    key: new Map<string, number>(),
  };
  readonly #maxMarks: number;
  #all = 0;

  constructor(maxMarks = 100_000) {
    this.#maxMarks = maxMarks;
  }

  get size(): number {
    return Object.values(this.#byKind).reduce((sum, marks) => sum + marks.size, this.#all > 0 ? 1 : 0);
  }

  /** Of two marks on the same thing the later counts. False when there is no room. */
  add(kind: MarkKind, name: string, at: number): boolean {
    if (kind === "all") {
      this.#all = Math.max(this.#all, at);
      return true;
    }
    const marks = this.#byKind[kind];
    const known = marks.get(name);
    if (known === undefined && this.size >= this.#maxMarks) return false;
    marks.set(name, Math.max(known ?? 0, at));
    return true;
  }

  /** What covers it. */
  covering({ instant, subject, trust, grant, kid }: Marked): MarkKind | undefined {
    if (instant <= this.#all) return "all";
    const { workload: workloads, grant: grants, trust: trusts, key: keys } = this.#byKind;
    if (workloads.size > 0 && instant <= (workloads.get(subject) ?? 0)) return "workload";
    if (grants.size > 0 && instant <= (grants.get(grant) ?? 0)) return "grant";
    if (trusts.size > 0 && instant <= (trusts.get(trust) ?? 0)) return "trust";
    if (keys.size > 0 && instant <= (keys.get(kid) ?? 0)) return "key";
    return undefined;
  }

  /** Forgets marks that can cover nothing alive any more: those before the instant. */
  forgetBefore(instant: number): void {
    if (this.#all < instant) this.#all = 0;
    for (const marks of Object.values(this.#byKind)) for (const [name, at] of marks) if (at < instant) marks.delete(name);
  }
}
