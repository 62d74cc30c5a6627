import type { Issuer, TargetFacts } from "../../domain/credential.ts";
import { StintError } from "../../domain/errors.ts";
import { firstLine } from "../background.ts";
import type { Parts } from "../parts.ts";
import type { Breakers } from "../sweeper/breaker.ts";
import { pause } from "../sweeper/schedule.ts";
import { reconcile, type Findings } from "./reconcile.ts";
import type { OpenedTarget } from "./registry.ts";
import { foundSince, type TargetState, type Trouble } from "./state.ts";

/** Each target is compared with the store when it is first used or a broker starts, and then this often. */
export const RECONCILE_EVERY_MS = 15 * 60_000;
const EXAMINE_EVERY_MS = 10 * 60_000;
/** After a failure, sooner. */
const AGAIN_AFTER_MS = 30_000;
/** A whole comparison, and one look at a target. */
const RECONCILE_MS = 10 * 60_000;
const EXAMINE_MS = 10_000;
const ROTATE_MS = 30_000;
/** A request that comes before the first comparison waits for it this long. */
const PATIENCE_MS = 5_000;

interface WatchParts extends Pick<Parts, "store" | "now" | "log" | "events" | "background" | "onHold"> {
  readonly breakers: Pick<Breakers, "lastFailure">;
}
const NOTHING: Readonly<Record<string, unknown>> = Object.freeze({});
type Opened = () => ReadonlyMap<string, OpenedTarget>;

/** Keeps an eye on every target: what is there, who may not be, how old our password is. */
export class TargetWatch {
  readonly #parts: WatchParts;
  readonly #targets: Opened;
  readonly #states = new Map<string, { readonly of: Issuer | undefined; readonly state: TargetState }>();
  readonly #reconciling = new Map<Issuer, Promise<Findings>>();
  readonly #attending = new Set<string>();
  readonly #triedAt = new Map<string, number>();
  /** When this broker first looked around on hold: what was found before says nothing of what the store has lost. */
  #heldSince: number | undefined;

  constructor(parts: WatchParts, targets: Opened) {
    this.#parts = parts;
    this.#targets = targets;
  }

  /** What is known of a target as it is open now: of another place, or by other settings, it is nothing. */
  state(name: string): TargetState {
    const of = this.#targets().get(name)?.issuer;
    const known = this.#states.get(name);
    if (known?.of === of && known !== undefined) return known.state;
    const state: TargetState = {};
    this.#states.set(name, { of, state });
    return state;
  }

  /**
   * Resolves once this target may be issued at: it has been compared with the store since this broker opened it. Only this target
   * waits for that. Throws `issuer_unavailable`.
   */
  async ready(name: string): Promise<void> {
    const opened = this.#targets().get(name);
    if (opened?.issuer.list === undefined || this.state(name).reconciledAt !== undefined) return;
    const late = "is compared with the store first, so that nothing left over from before stays alive";
    try {
      await patiently(this.reconcile(name, "done"), PATIENCE_MS);
    } catch (error) {
      if (error instanceof StintError) throw error;
      throw new StintError(
        "issuer_unavailable",
        `the target ${name} ${late}, and cannot be reached`,
        { retryAfterSeconds: 5 },
        { cause: error },
      );
    }
    if (this.state(name).reconciledAt === undefined)
      throw new StintError("issuer_unavailable", `the target ${name} ${late}; this takes a moment`, { retryAfterSeconds: 5 });
  }

  /** Compares now. Those who ask while one runs share it. On hold it only shows, unless a person said `done`. */
  reconcile(name: string, mode: Findings["mode"]): Promise<Findings> {
    const issuer = this.#targets().get(name)?.issuer;
    if (issuer === undefined) return Promise.reject(nowhere());
    const running = this.#reconciling.get(issuer);
    if (running !== undefined) return running;
    const run = this.#compare(name, issuer, mode).finally(() => void this.#reconciling.delete(issuer));
    this.#reconciling.set(issuer, run);
    return run;
  }

  async #compare(name: string, issuer: Issuer, mode: Findings["mode"]): Promise<Findings> {
    const state = this.state(name);
    try {
      const found = await reconcile(this.#parts, name, issuer, mode, AbortSignal.timeout(RECONCILE_MS));
      state.findings = found;
      if (mode === "done" && found.failed === 0) state.reconciledAt = found.at;
      this.#works(state, "reconcile");
      return found;
    } catch (error) {
      this.#failed(name, "reconcile", error);
      throw error;
    }
  }

  /** Changes the broker's own password at a target. Throws `not_implemented` where there is none to change. */
  async rotate(name: string): Promise<TargetFacts | undefined> {
    const issuer = this.#issuer(name);
    if (issuer.rotate === undefined)
      throw new StintError("not_implemented", `the broker holds no password or key of its own at ${name} that it could change`);
    try {
      await issuer.rotate(AbortSignal.timeout(ROTATE_MS));
    } catch (error) {
      this.#failed(name, "rotate", error);
      throw new StintError(
        "issuer_unavailable",
        `the password at ${name} was not changed: ${firstLine(error)}`,
        { retryAfterSeconds: 30 },
        { cause: error },
      );
    }
    this.#works(this.state(name), "rotate");
    await this.examine(name);
    return this.state(name).facts;
  }

  /** Asks a target how it is; a failure is noted. */
  async examine(name: string): Promise<void> {
    const issuer = this.#issuer(name);
    const state = this.state(name);
    if (issuer.examine === undefined) return;
    try {
      state.facts = await issuer.examine(AbortSignal.timeout(EXAMINE_MS));
      state.examinedAt = this.#parts.now();
      this.#works(state, "examine");
    } catch (error) {
      this.#failed(name, "examine", error);
    }
  }

  /** What went wrong there last and has not worked since: while we looked after it, or while credentials were made and ended. */
  trouble(name: string): Trouble | undefined {
    return this.state(name).trouble ?? this.#parts.breakers.lastFailure(name);
  }

  /** What decisions may weigh. The password's age is missing until the broker has changed it: a condition on it then does not hold. */
  posture(): Readonly<Record<string, unknown>> {
    if (this.#targets().size === 0) return NOTHING;
    const targets = [...this.#targets().keys()].map((name) => {
      const { facts, trouble } = this.state(name);
      const changed = facts?.passwordChangedAt;
      const age = changed === undefined ? {} : { password_age: Math.floor((this.#parts.now() - changed) / 1000) };
      return [name, { reachable: facts !== undefined && trouble === undefined && !this.#failedSince(name), ...age }];
    });
    return { targets: Object.fromEntries(targets) as unknown };
  }

  /** The duty: whatever is due at any target, one target's slowness never another's. */
  attend(): void {
    for (const opened of this.#targets().values()) {
      const { name } = opened.target;
      if (opened.retired || this.#attending.has(name)) continue;
      this.#attending.add(name);
      this.#parts.background.run("attend to a target", () => this.#attendOne(opened).finally(() => void this.#attending.delete(name)));
    }
  }

  async #attendOne({ target: { name, rotateMs }, issuer }: OpenedTarget): Promise<void> {
    const state = this.state(name);
    const now = this.#parts.now();
    const isDue = (last: number | undefined, everyMs: number): boolean => last === undefined || now - last >= everyMs;
    if (this.trouble(name) !== undefined && now - (this.#triedAt.get(name) ?? 0) < AGAIN_AFTER_MS) return;
    this.#triedAt.set(name, now);
    if (isDue(state.examinedAt, EXAMINE_EVERY_MS) || this.#failedSince(name)) await this.examine(name);
    if (
      issuer.rotate !== undefined &&
      rotateMs !== undefined &&
      state.facts !== undefined &&
      isDue(state.facts.passwordChangedAt, rotateMs)
    )
      await this.rotate(name).catch(() => undefined); // noted as trouble, and tried again
    // On hold nothing is touched unasked; what would be done is shown, and looked at again as often.
    const held = this.#parts.onHold();
    this.#heldSince = held ? (this.#heldSince ?? now) : undefined;
    const last = held ? foundSince(state.findings, this.#heldSince) : state.reconciledAt;
    if (issuer.list !== undefined && isDue(last, RECONCILE_EVERY_MS))
      await this.reconcile(name, held ? "shown" : "done").catch(() => undefined); // likewise
  }

  /** A call failed there since it was last asked how it is. */
  #failedSince(name: string): boolean {
    const failed = this.#parts.breakers.lastFailure(name);
    return failed !== undefined && failed.at >= (this.state(name).examinedAt ?? 0);
  }

  #issuer(name: string): Issuer {
    const opened = this.#targets().get(name);
    if (opened === undefined) throw nowhere();
    return opened.issuer;
  }

  #failed(name: string, what: "reconcile" | "examine" | "rotate", error: unknown): void {
    const said = firstLine(error);
    this.state(name).trouble = { at: this.#parts.now(), what, error: said };
    this.#parts.log.warn({ target: name, what, error: said }, "a target could not be attended to; it is tried again");
  }

  #works(state: TargetState, what: "reconcile" | "examine" | "rotate"): void {
    if (state.trouble?.what === what) delete state.trouble;
  }
}

const nowhere = (): StintError => new StintError("not_found", "there is no such target");

/** Waits for the work, but not longer; the work goes on. */
async function patiently(work: Promise<unknown>, ms: number): Promise<void> {
  const over = new AbortController();
  try {
    await Promise.race([work, pause(ms, over.signal)]);
  } finally {
    over.abort();
  }
}
