import { describe } from "../background.ts";
import type { TaskId } from "../../domain/ids.ts";
import { inParallel } from "../leases/end.ts";
import type { Parts } from "../parts.ts";
import { endTask } from "../tasks/end.ts";
import type { Breakers } from "./breaker.ts";
import type { Calls } from "./calls.ts";

/** Leases that one script handles: others must have their turn between two. */
const BATCH = 50;
/** Buckets worked on side by side: enough to keep Redis busy, few enough to leave it for requests. */
const BUCKETS_AT_ONCE = 3;
/** Tasks of a bucket ended side by side: each is a few scripts, one after the other. */
const TASKS_AT_ONCE = 4;
/** A pass stops here: what it has not come to is for the next one, which takes buckets and tasks in another order. */
const BUDGET_MS = 900;
/** Leases leave tasks some of it, where any are due. */
const LEASES_MS = 600;
/** Claimed at least, however many calls are under way. */
const FEW = 10;

/** What one pass did. */
export interface Swept {
  /** Ended here because they had expired and nobody need be called. */
  readonly expired: number;
  /** Claimed for a call at their target. */
  readonly claimed: number;
  readonly tasks: number;
  /** Work was left for the next pass. */
  readonly more: boolean;
  /** It was left for want of time alone: the next pass need not wait. */
  readonly cutShort: boolean;
}

export interface Sweeper {
  /** One pass over what is due now. Work grows with that and not with what exists. Two brokers may sweep at once. */
  sweep(signal?: AbortSignal): Promise<Swept>;
}

export function createSweeper(parts: Parts, calls: Calls, breakers: Breakers): Sweeper {
  return {
    async sweep(signal) {
      const began = performance.now();
      const total: Total = { expired: 0, claimed: 0, tasks: 0, more: false, cutShort: false };
      const stopAfter = (ms: number) => (): boolean => {
        if (signal?.aborted !== true && performance.now() - began <= ms) return false;
        total.more = total.cutShort = true;
        return true;
      };
      const due = await parts.store.leases.dueBuckets();
      // Leases first: what had expired before its task was over is recorded as that.
      await endDueLeases(parts, calls, due.leases, total, stopAfter(due.tasks.length === 0 ? BUDGET_MS : LEASES_MS));
      const stop = stopAfter(BUDGET_MS);
      await inParallel(rotated(due.tasks), BUCKETS_AT_ONCE, async (bucket) => {
        total.tasks += await endDueTasks(parts, bucket, stop);
      });
      // What the tasks left due at targets is begun in the same pass: somebody may be waiting for it.
      if (total.tasks > 0) await endDueLeases(parts, calls, (await parts.store.leases.dueBuckets()).leases, total, stop);
      if (total.expired > 0) parts.events.publish("leases.expired", { count: total.expired });
      if (breakers.open().length > 0) parts.log.warn({ issuers: breakers.open() }, "targets not called for the moment");
      return total;
    },
  };
}

type Total = { -readonly [K in keyof Swept]: Swept[K] };

async function endDueLeases(parts: Parts, calls: Calls, buckets: readonly number[], total: Total, stop: () => boolean): Promise<void> {
  await inParallel(rotated(buckets), BUCKETS_AT_ONCE, async (bucket) => {
    for (let more = true; more;) {
      if (stop()) return;
      // Without room for calls only a few are claimed: expiries that need none are not held up by a full house for long.
      const limit = Math.min(BATCH, Math.max(calls.room(), FEW));
      const page = await parts.store.leases.claimDue(bucket, limit, parts.onHold() ? "on_hold" : "allowed", calls.busy());
      total.expired += page.expired;
      total.claimed += page.claimed.length;
      const left = calls.take(page.claimed);
      // A full house: what else this bucket holds is looked at in the next pass.
      if (left > 0) total.more = true;
      more = page.more && left === 0;
    }
  });
}

/** Tasks of one bucket until none is due; those that could not be ended stay due, and are for the next pass. */
async function endDueTasks(parts: Parts, bucket: number, stop: () => boolean): Promise<number> {
  const tried = new Set<TaskId>();
  for (let more = true; more && !stop();) {
    const due = await parts.store.tasks.due(bucket, BATCH);
    const fresh = due.filter(({ id }) => !tried.has(id));
    await inParallel(fresh, TASKS_AT_ONCE, async ({ id, by }) => {
      tried.add(id);
      try {
        // Whatever of it needs a call at a target is due at once, and the same pass or the next one claims it.
        await endTask(parts, id, by, undefined, { principal: "broker" });
      } catch (error) {
        parts.log.warn({ taskId: id, error: describe(error) }, "task stays due");
      }
    });
    more = due.length === BATCH && fresh.length > 0;
  }
  return tried.size;
}

/** Another order each time, so that a pass cut short by its budget does not always leave the same buckets. */
function rotated(buckets: readonly number[]): readonly number[] {
  const from = buckets.length === 0 ? 0 : (turn += 1) % buckets.length;
  return [...buckets.slice(from), ...buckets.slice(0, from)];
}
let turn = 0;
