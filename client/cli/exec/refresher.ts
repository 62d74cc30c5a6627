import type { Clock } from "../../../domain/time.ts";
import { GoneError, UnreachableError } from "../../errors.ts";
import type { Credential } from "../../lease.ts";

/** Timers take no more than this, in milliseconds; no lease lives longer. */
const DAY_MS = 86_400_000;
/** Between two attempts, in milliseconds. */
const PAUSE_MS = 5_000;

export interface Renewal {
  /** Another credential of the same grant, where the lease itself cannot be lengthened. */
  again(): Promise<Credential>;
  /** Puts it where the last one stood. */
  replace(credential: Credential): Promise<void>;
  /** Told when there is no other: the one that stands there lives until its end. */
  lost(credential: Credential, error: unknown): void;
}

/**
 * What a command reads from a file may be read anew: at two thirds of its life a credential is renewed, or another is asked for, and
 * the file replaced. Policy decides each time. Ends with the command.
 */
export class Refresher implements Disposable {
  readonly #clock: Clock;
  readonly #timers = new Set<NodeJS.Timeout>();
  #ended = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  keep(credential: Credential, renewal: Renewal): void {
    const left = credential.expiresAt.getTime() - this.#clock();
    this.#after(Math.max(0, left) * (2 / 3), () => this.#refresh(credential, renewal));
  }

  async #refresh(credential: Credential, renewal: Renewal): Promise<void> {
    try {
      const later = (await lengthened(credential)) ?? (await renewal.again());
      if (this.#ended) return;
      await renewal.replace(later);
      this.keep(later, renewal);
    } catch (error) {
      if (this.#ended) return;
      const left = credential.expiresAt.getTime() - this.#clock();
      // nothing was decided: there is time for another attempt
      if (error instanceof UnreachableError && left > PAUSE_MS) this.#after(PAUSE_MS, () => this.#refresh(credential, renewal));
      else renewal.lost(credential, error);
    }
  }

  #after(ms: number, then: () => Promise<void>): void {
    if (this.#ended) return;
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        void then();
      },
      Math.min(ms, DAY_MS),
    );
    timer.unref();
    this.#timers.add(timer);
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }
}

/** The same lease with a later end; undefined where it has none. */
async function lengthened(credential: Credential): Promise<Credential | undefined> {
  try {
    const renewed = await credential.renew();
    return renewed.expiresAt > credential.expiresAt ? renewed : undefined;
  } catch (error) {
    if (error instanceof UnreachableError || (error instanceof GoneError && error.code === "task_ended")) throw error;
    return undefined;
  }
}
