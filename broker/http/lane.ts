import { StintError } from "../../domain/errors.ts";
import { FairQueue, type Waiting, type Who } from "./fair-queue.ts";

/** How much of one kind of work may be under way, and how much may wait for it. */
export interface LaneLimits {
  /** Up to here nobody is asked who it is: there is room. */
  readonly free: number;
  readonly underWay: number;
  readonly perTrust: number;
  readonly perWorkload: number;
  readonly waiting: number;
  readonly waitingPerTrust: number;
  readonly waitingPerWorkload: number;
  /** Whoever has waited this long is told to come back. */
  readonly patienceMs: number;
}

/** Held while a request is under way. */
interface Ticket {
  readonly who: Who | undefined;
}

const ANYBODY: Ticket = { who: undefined };
/** After so many failures of the store in a row only a few try it, and nobody waits for it. */
const CHOKED = 8;
const TRIERS = 8;

/**
 * One kind of work of this process, bounded: so much under way, so much waiting, the rest refused at once. As soon as there is more
 * than a little to do, no workload and no trust has more than its share of either, and whoever waits is served in turn.
 */
export class Lane {
  readonly #limits: LaneLimits;
  readonly #queue = new FairQueue();
  readonly #ofTrust = new Map<string, number>();
  readonly #ofWorkload = new Map<string, number>();
  #underWay = 0;
  #failures = 0;

  constructor(limits: LaneLimits) {
    this.#limits = limits;
  }

  /** Nothing more can be taken in, whoever asks: worth knowing before a body is read. */
  get full(): boolean {
    return this.#queue.size >= this.#limits.waiting;
  }

  /**
   * Does the work, now or in its turn. `who` is asked only when there is something to share out. Throws `too_many_requests` (429)
   * for whoever has taken its share, `overloaded` (503) when there is no room for anybody, and `store_unavailable` while the store fails.
   */
  async run<T>(who: () => Who, work: () => T | Promise<T>): Promise<T> {
    const entered = this.#enter(who);
    const ticket = entered instanceof Promise ? await entered : entered;
    let failed = false;
    try {
      return await work();
    } catch (error) {
      failed = error instanceof StintError && error.code === "store_unavailable";
      throw error;
    } finally {
      this.#leave(ticket, failed);
    }
  }

  #enter(who: () => Who): Ticket | Promise<Ticket> {
    const { free } = this.#limits;
    if (this.#failures >= CHOKED && this.#underWay >= TRIERS)
      throw new StintError("store_unavailable", "the store does not answer; nothing waits for it", { retryAfterSeconds: 2 });
    if (this.#underWay < free && this.#queue.size === 0) {
      this.#underWay += 1;
      return ANYBODY;
    }
    const known = who();
    if (this.#queue.ofWorkload(known) === 0 && this.#may(known)) return this.#admit(known);
    return this.#wait(known);
  }

  #leave({ who }: Ticket, failed: boolean): void {
    this.#failures = failed ? this.#failures + 1 : 0;
    this.#underWay -= 1;
    if (who !== undefined) {
      lower(this.#ofTrust, who.trust);
      lower(this.#ofWorkload, keyOf(who));
    }
    if (this.#queue.size === 0 || this.#underWay >= this.#limits.underWay) return;
    this.#queue.next((next) => this.#may(next))?.wake();
  }

  #may(who: Who): boolean {
    const { underWay, perTrust, perWorkload } = this.#limits;
    return (
      this.#underWay < underWay && (this.#ofTrust.get(who.trust) ?? 0) < perTrust && (this.#ofWorkload.get(keyOf(who)) ?? 0) < perWorkload
    );
  }

  #admit(who: Who): Ticket {
    this.#underWay += 1;
    raise(this.#ofTrust, who.trust);
    raise(this.#ofWorkload, keyOf(who));
    return { who };
  }

  #wait(who: Who): Promise<Ticket> {
    const { waiting, waitingPerTrust, waitingPerWorkload, patienceMs } = this.#limits;
    if (this.#queue.ofWorkload(who) >= waitingPerWorkload || this.#queue.ofTrust(who.trust) >= waitingPerTrust) throw tooMany();
    if (this.#queue.size >= waiting) throw overloaded();
    return new Promise((resolve, reject) => {
      const one: Waiting = {
        who,
        wake: () => {
          clearTimeout(timer);
          resolve(this.#admit(who));
        },
      };
      const timer = setTimeout(() => {
        if (this.#queue.remove(one)) reject(this.#underWay >= this.#limits.underWay ? overloaded() : tooMany());
      }, patienceMs);
      timer.unref();
      this.#queue.add(one);
    });
  }
}

/** There is no room for anybody just now. */
export const overloaded = (): StintError =>
  new StintError("overloaded", "there is more to do than this broker can; ask again, or ask another one", { retryAfterSeconds: 1 });

const tooMany = (): StintError =>
  new StintError("too_many_requests", "this workload, or its trust, has as many requests under way as its share", { retryAfterSeconds: 1 });

const keyOf = ({ trust, workload }: Who): string => `${trust} ${workload}`;
const raise = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1);

function lower(counts: Map<string, number>, key: string): void {
  const left = (counts.get(key) ?? 1) - 1;
  if (left === 0) counts.delete(key);
  else counts.set(key, left);
}
