/** What a run found. */
export interface FaultReport {
  /** What was measured, for people. */
  readonly figures: Readonly<Record<string, number | string>>;
  /** Promises that did not hold, each in a sentence; none when all is well. */
  readonly broken: readonly string[];
}

/** A fault or an attack that can be brought about here, and what must hold meanwhile. */
export interface Fault {
  /** As docs/faults.md lists it. */
  readonly id: string;
  readonly what: string;
  /** `short` is for the suite, `long` for `npm run faults`. */
  run(form: "short" | "long", say: (line: string) => void): Promise<FaultReport>;
}

/** Collects what did not hold. */
export class Promises {
  readonly broken: string[] = [];

  /** `held` must be true; otherwise `sentence` is reported. */
  expect(held: boolean, sentence: string): void {
    if (!held) this.broken.push(sentence);
  }
}
