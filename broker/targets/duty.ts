import type { Parts } from "../parts.ts";
import type { OpenedTarget } from "./registry.ts";
import { foundSince } from "./state.ts";
import type { TargetWatch } from "./watch.ts";

/** Each target is compared with the store when it is first used or a broker starts, and then this often. */
const RECONCILE_EVERY_MS = 15 * 60_000;
const EXAMINE_EVERY_MS = 10 * 60_000;
/** After a failure, sooner. */
const AGAIN_AFTER_MS = 30_000;

/** What is due at any target, by time: a look, a change of our password, a comparison. One target's slowness is never another's. */
export class TargetDuty {
  readonly #parts: Pick<Parts, "now" | "background" | "onHold">;
  readonly #watch: TargetWatch;
  readonly #targets: () => ReadonlyMap<string, OpenedTarget>;
  readonly #attending = new Set<string>();
  readonly #triedAt = new Map<string, number>();
  /** When this broker first looked around on hold: what was found before says nothing of what the store has lost. */
  #heldSince: number | undefined;

  constructor(parts: Pick<Parts, "now" | "background" | "onHold">, watch: TargetWatch, targets: () => ReadonlyMap<string, OpenedTarget>) {
    this.#parts = parts;
    this.#watch = watch;
    this.#targets = targets;
  }

  attend(): void {
    for (const opened of this.#targets().values()) {
      const { name } = opened.target;
      if (opened.retired || this.#attending.has(name)) continue;
      this.#attending.add(name);
      this.#parts.background.run("attend to a target", () => this.#attendOne(opened).finally(() => void this.#attending.delete(name)));
    }
  }

  async #attendOne({ target: { name, rotateMs }, issuer }: OpenedTarget): Promise<void> {
    const watch = this.#watch;
    const state = watch.state(name);
    const now = this.#parts.now();
    const isDue = (last: number | undefined, everyMs: number): boolean => last === undefined || now - last >= everyMs;
    if (watch.trouble(name) !== undefined && now - (this.#triedAt.get(name) ?? 0) < AGAIN_AFTER_MS) return;
    this.#triedAt.set(name, now);
    if (isDue(state.examinedAt, EXAMINE_EVERY_MS) || watch.failedSinceExamined(name)) await watch.examine(name);
    const held = this.#parts.onHold();
    if (
      !held &&
      issuer.rotate !== undefined &&
      rotateMs !== undefined &&
      state.facts !== undefined &&
      isDue(state.facts.passwordChangedAt, rotateMs)
    )
      await watch.rotate(name).catch(() => undefined); // noted as trouble, and tried again
    // On hold nothing is touched unasked; what would be done is shown, and looked at again as often.
    this.#heldSince = held ? (this.#heldSince ?? now) : undefined;
    const last = held ? foundSince(state.findings, this.#heldSince) : state.comparedAt;
    const every = !held && (state.findings?.failed ?? 0) > 0 ? AGAIN_AFTER_MS : RECONCILE_EVERY_MS;
    if (issuer.list !== undefined && isDue(last, every)) await watch.reconcile(name, held ? "shown" : "done").catch(() => undefined); // likewise
  }
}
