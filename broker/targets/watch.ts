import type { Issuer, TargetFacts } from "../../domain/credential.ts";
import { StintError } from "../../domain/errors.ts";
import { firstLine } from "../background.ts";
import type { Parts } from "../parts.ts";
import type { Breakers } from "../sweeper/breaker.ts";
import { asked, patiently } from "./asking.ts";
import { reconcile, type Findings } from "./reconcile.ts";
import { Running } from "./running.ts";
import type { OpenedTarget } from "./registry.ts";
import type { TargetState, Trouble } from "./state.ts";

/** A whole comparison, and one look at a target. */
const RECONCILE_MS = 10 * 60_000;
const EXAMINE_MS = 10_000;
const ROTATE_MS = 30_000;
/** A request that comes before the first comparison waits for it this long. */
const PATIENCE_MS = 5_000;

interface WatchParts extends Pick<Parts, "store" | "now" | "log" | "events"> {
  readonly breakers: Pick<Breakers, "lastFailure">;
  /** Looks whether the store has gone back; true while on hold. */
  readonly wentBack: () => Promise<boolean>;
}
const NOTHING: Readonly<Record<string, unknown>> = Object.freeze({});
type Opened = () => ReadonlyMap<string, OpenedTarget>;

/** Keeps an eye on every target: what is there, who may not be, how old our password is. When it looks unasked is `TargetDuty`'s. */
export class TargetWatch {
  readonly #parts: WatchParts;
  readonly #targets: Opened;
  readonly #states = new Map<string, { readonly of: Issuer | undefined; readonly state: TargetState }>();
  readonly #running = new Running();
  #answers: (name: string) => void = () => undefined;

  constructor(parts: WatchParts, targets: Opened) {
    this.#parts = parts;
    this.#targets = targets;
  }

  /** Whom to tell that a target answers at which calls had failed. */
  whenItAnswers(tell: (name: string) => void): void {
    this.#answers = tell;
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
    if (opened?.issuer.list === undefined || this.state(name).comparedAt !== undefined) return;
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
    if (this.state(name).comparedAt === undefined)
      throw new StintError("issuer_unavailable", `the target ${name} ${late}; this takes a moment`, { retryAfterSeconds: 5 });
  }

  /** Compares now. On hold it only shows, unless a person said `done`: the store may have gone back this very moment. */
  async reconcile(name: string, mode: Findings["mode"], by: "duty" | "person" = "duty"): Promise<Findings> {
    const issuer = this.#issuer(name);
    return this.#running.join(issuer, mode, () => this.#compare(name, issuer, mode, by));
  }

  async #compare(name: string, issuer: Issuer, asked: Findings["mode"], by: "duty" | "person"): Promise<Findings> {
    const state = this.state(name);
    try {
      const mode = asked === "done" && by === "duty" && (await this.#parts.wentBack()) ? "shown" : asked;
      const found = await reconcile(this.#parts, name, issuer, mode, AbortSignal.timeout(RECONCILE_MS));
      state.findings = found;
      if (mode === "done") state.comparedAt = found.at;
      if (mode === "done" && found.failed === 0) state.reconciledAt = found.at;
      this.#works(state, "reconcile");
      return found;
    } catch (error) {
      this.#failed(name, state, "reconcile", error);
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
      this.#failed(name, this.state(name), "rotate", error);
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
    const failing = this.#parts.breakers.lastFailure(name) !== undefined;
    if (issuer.examine === undefined && !failing) return;
    try {
      const facts = await asked(issuer, AbortSignal.timeout(EXAMINE_MS));
      if (facts !== undefined) state.facts = facts;
      state.examinedAt = this.#parts.now();
      this.#works(state, "examine");
      if (failing) this.#answers(name);
    } catch (error) {
      this.#failed(name, state, "examine", error);
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
      return [name, { reachable: facts !== undefined && trouble === undefined && !this.failedSinceExamined(name), ...age }];
    });
    return { targets: Object.fromEntries(targets) as unknown };
  }

  /** A call failed there since it was last asked how it is. */
  failedSinceExamined(name: string): boolean {
    const failed = this.#parts.breakers.lastFailure(name);
    return failed !== undefined && failed.at >= (this.state(name).examinedAt ?? 0);
  }

  #issuer(name: string): Issuer {
    const issuer = this.#targets().get(name)?.issuer;
    if (issuer === undefined) throw nowhere();
    return issuer;
  }

  #failed(name: string, state: TargetState, what: "reconcile" | "examine" | "rotate", error: unknown): void {
    const said = firstLine(error);
    state.trouble = { at: this.#parts.now(), what, error: said };
    this.#parts.log.warn({ target: name, what, error: said }, "a target could not be attended to; it is tried again");
  }

  #works(state: TargetState, what: "reconcile" | "examine" | "rotate"): void {
    if (state.trouble?.what === what) delete state.trouble;
  }
}

const nowhere = (): StintError => new StintError("not_found", "there is no such target");
