import { setTimeout as pause } from "node:timers/promises";
import { StintError } from "../../../domain/errors.ts";
import type { LeaseId } from "../../../domain/ids.ts";
import type { OpenedStore } from "../../../store/open.ts";
import type { Clock } from "../../../domain/time.ts";
import { eventually } from "../events.ts";
import { openOrder } from "../orders.ts";

const ENDED = { action: "lease.ended", principal: "test" } as const;
/** Leases are opened for so many subjects, so that every bucket has some. */
const SUBJECTS = 256;

/** What a store has said yes to while it was hurt, to be held against it afterwards. */
export interface Ledger {
  readonly asked: number;
  readonly opened: readonly LeaseId[];
  readonly revoked: readonly LeaseId[];
  /** Answered `store_unavailable`: nobody may rely on it, either way. */
  readonly unavailable: number;
  /** Any other answer than yes and `store_unavailable`. */
  readonly strange: readonly string[];
  /** The longest time in which nothing was said yes to. */
  readonly gapMs: number;
  /** The longest that anybody waited for an answer. */
  readonly slowestMs: number;
}

export interface LedgerLoad {
  readonly seen: () => Ledger;
  /** Waits until something asked from now on is said yes to. */
  healed(withinMs?: number): Promise<void>;
  stop(): Promise<Ledger>;
}

export interface LedgerOptions {
  readonly lanes?: number;
  /** Each lane rests between two orders. */
  readonly restMs?: number;
}

/** Opens leases and revokes every other one, in lanes, until it is stopped. */
export function startLedger(store: OpenedStore, clock: Clock, { lanes = 8, restMs = 2 }: LedgerOptions = {}): LedgerLoad {
  const seen = {
    asked: 0,
    opened: [] as LeaseId[],
    revoked: [] as LeaseId[],
    unavailable: 0,
    strange: [] as string[],
    gapMs: 0,
    slowestMs: 0,
  };
  let yesAt = performance.now();
  let running = true;
  const ask = async (work: () => Promise<LeaseId>, into: LeaseId[]): Promise<LeaseId | undefined> => {
    seen.asked += 1;
    const began = performance.now();
    try {
      const id = await work();
      into.push(id);
      seen.gapMs = Math.max(seen.gapMs, performance.now() - yesAt);
      yesAt = performance.now();
      return id;
    } catch (error) {
      if (error instanceof StintError && error.code === "store_unavailable") seen.unavailable += 1;
      else seen.strange.push(String(error));
      return undefined;
    } finally {
      seen.slowestMs = Math.max(seen.slowestMs, performance.now() - began);
    }
  };
  const open = async (subject: string): Promise<LeaseId> => {
    const reply = await store.leases.open(openOrder(clock, subject));
    if (reply.outcome !== "opened") throw new Error(JSON.stringify(reply));
    return reply.lease.id;
  };
  const revoke = async (id: LeaseId): Promise<LeaseId> => {
    const lease = await store.leases.end(id, "revoked", ENDED);
    if (lease?.state !== "revoked") throw new Error(`a lease that was acknowledged is ${lease?.state ?? "unknown"}`);
    return id;
  };
  const lane = async (number: number): Promise<void> => {
    for (let turn = 0; running; turn++) {
      const id = await ask(() => open(`github:${(turn * lanes + number) % SUBJECTS}`), seen.opened);
      if (id !== undefined && turn % 2 === 0) await ask(() => revoke(id), seen.revoked);
      await pause(restMs);
    }
  };
  const work = Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)));
  return {
    seen: () => seen,
    async healed(withinMs = 30_000) {
      const since = seen.opened.length + lanes; // what was under way before does not count
      await eventually("the store says yes again", () => seen.opened.length > since, withinMs);
    },
    async stop() {
      running = false;
      await work;
      return seen;
    },
  };
}

/** What of it the store no longer knows or has revived, each in a sentence. */
export async function judge(
  store: OpenedStore,
  { opened, revoked, strange }: Ledger,
): Promise<{ readonly lost: number; readonly broken: readonly string[] }> {
  const ended = new Set(revoked);
  const lost: string[] = [];
  for (let from = 0; from < opened.length; from += 200) {
    await Promise.all(
      opened.slice(from, from + 200).map(async (id) => {
        const lease = await store.leases.get(id);
        if (lease === undefined) lost.push(`${id} was acknowledged and is unknown`);
        else if (ended.has(id) && (lease.state !== "revoked" || (await store.leases.isLive(id, undefined))))
          lost.push(`${id} was acknowledged as revoked and is ${lease.state}`);
      }),
    );
  }
  const counts = await store.leases.counts();
  const states = Object.values(counts.byState).reduce((sum, count) => sum + count, 0);
  const broken = [...lost.slice(0, 5), ...new Set(strange.slice(0, 5))];
  if (states !== counts.opened) broken.push(`${counts.opened} leases were opened and ${states} are in some state`);
  if (new Set(opened).size !== opened.length) broken.push("a lease was acknowledged twice");
  return { lost: lost.length, broken };
}
