import type { Issuer } from "../../domain/credential.ts";
import type { Findings } from "./reconcile.ts";

interface Run {
  readonly mode: Findings["mode"];
  readonly result: Promise<Findings>;
}

/** Comparisons that run in this broker, one per issuer at a time. */
export class Running {
  readonly #runs = new Map<Issuer, Run>();

  /**
   * Those who ask while one runs share it; but whoever wants something done does not take for it what was only shown: theirs begins
   * when that is over.
   */
  join(issuer: Issuer, mode: Findings["mode"], begin: () => Promise<Findings>): Promise<Findings> {
    const before = this.#runs.get(issuer);
    if (before !== undefined && (before.mode === "done" || before.mode === mode)) return before.result;
    const work = before === undefined ? begin() : before.result.then(begin, begin);
    const run: Run = { mode, result: work.finally(() => this.#runs.get(issuer) === run && this.#runs.delete(issuer)) };
    this.#runs.set(issuer, run);
    return run.result;
  }
}
