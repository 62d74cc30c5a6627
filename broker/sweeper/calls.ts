import type { LeaseId } from "../../domain/ids.ts";
import type { DueLease } from "../../store/api.ts";
import { CLAIM_MS } from "../../store/leases.ts";
import { describe, firstLine } from "../background.ts";
import { endClaimed, inParallel } from "../leases/end.ts";
import type { Parts } from "../parts.ts";
import type { Breakers } from "./breaker.ts";

/** Calls at targets in flight at once, over all issuers; one issuer may hold half of them. */
const WORKERS = 32;
const SHARE = WORKERS / 2;
/** Claimed leases that may wait for a worker. */
const QUEUE = 2_000;
/** While one issuer has so many in the queue its leases are not claimed: those that found no room would be hidden for a minute. */
const BUSY = QUEUE / 4;
const GIVEN_BACK_AT_ONCE = 16;
/** A claim lasts a minute (`CLAIM_MS`): what has waited longer than this is nearly somebody else's. */
const FRESH_MS = 30_000;

/** The sweeper's calls at targets. They outlive the pass that began them: a slow target must not hold up the next pass. */
export interface Calls {
  /** Takes on claimed leases as far as there is room; how many it could not take. Those stay claimed, and are due again in a minute. */
  take(due: readonly DueLease[]): number;
  /** How many more could be taken. */
  room(): number;
  /** Those that were put aside while the issuer was left alone are due again now, and not when their claims lapse. */
  giveBack(issuer: string): Promise<void>;
  /** Issuers that have enough to do for now. */
  busy(): readonly string[];
  /** Under way at this issuer; and waiting there, for their turn or until it is called again. */
  at(issuer: string): { readonly running: number; readonly waiting: number };
}

export function createCalls(parts: Parts, breakers: Breakers): Calls {
  const inFlight = new Map<string, number>();
  let waiting: (DueLease & { readonly takenAt: number })[] = [];
  /** Of issuers that are left alone: which leases were claimed for them within the last minute, and are due again when that is over. */
  const aside = new Map<string, Map<LeaseId, { readonly at: number; readonly epoch: number }>>();
  let running = 0;

  function next(): void {
    const oldest = parts.now() - FRESH_MS;
    waiting = waiting.filter(({ takenAt }) => takenAt >= oldest);
    for (let index = 0; running < WORKERS && index < waiting.length;) {
      const due = waiting[index];
      if (due === undefined || (inFlight.get(due.lease.issuer) ?? 0) >= SHARE) index += 1;
      else {
        waiting.splice(index, 1);
        begin(due);
      }
    }
  }

  function begin(due: DueLease): void {
    const { issuer } = due.lease;
    if (!breakers.allows(issuer)) return setAside(due); // left claimed: due again when the claim lapses, and no try is counted
    aside.get(issuer)?.delete(due.lease.id);
    running += 1;
    inFlight.set(issuer, (inFlight.get(issuer) ?? 0) + 1);
    parts.background.run("revoke at target", async () => {
      const failed = (error: unknown): void => breakers.failed(issuer, { what: "revoke", error: firstLine(error) });
      try {
        let failure: unknown;
        const outcome = await endClaimed(parts, due, (error) => void (failure = error));
        if (outcome === "postponed") failed(failure);
        else if (outcome === "waits" || outcome === "stays") breakers.notCalled(issuer);
        else breakers.succeeded(issuer);
      } catch (error) {
        failed(error);
        parts.log.warn({ leaseId: due.lease.id, error: describe(error) }, "lease stays due");
      } finally {
        running -= 1;
        inFlight.set(issuer, (inFlight.get(issuer) ?? 1) - 1);
        next();
      }
    });
  }

  const queuedAt = (issuer: string): number => waiting.filter(({ lease }) => lease.issuer === issuer).length;

  function setAside({ lease, epoch }: DueLease): void {
    const there = asideAt(lease.issuer);
    there.delete(lease.id); // so that the oldest stays in front
    aside.set(lease.issuer, there.set(lease.id, { at: parts.now(), epoch }));
  }

  /** Those whose claim has not lapsed; somebody else may have claimed the others. */
  function asideAt(issuer: string): Map<LeaseId, { readonly at: number; readonly epoch: number }> {
    const there = aside.get(issuer) ?? new Map<LeaseId, { readonly at: number; readonly epoch: number }>();
    const oldest = parts.now() - CLAIM_MS;
    for (const [id, { at }] of there) {
      if (at >= oldest) break;
      there.delete(id);
    }
    return there;
  }

  return {
    room: () => Math.max(0, QUEUE - running - waiting.length),
    async giveBack(issuer) {
      const there = [...asideAt(issuer)];
      aside.delete(issuer);
      await inParallel(there, GIVEN_BACK_AT_ONCE, ([id, { epoch }]) => parts.store.leases.giveBack(id, epoch));
    },
    busy() {
      const queued = new Map<string, number>();
      for (const { lease } of waiting) queued.set(lease.issuer, (queued.get(lease.issuer) ?? 0) + 1);
      return [...queued].filter(([, count]) => count >= BUSY).map(([issuer]) => issuer);
    },
    at: (issuer) => ({ running: inFlight.get(issuer) ?? 0, waiting: queuedAt(issuer) + asideAt(issuer).size }),
    take(due) {
      const takenAt = parts.now();
      const queued = new Map<string, number>();
      for (const { lease } of waiting) queued.set(lease.issuer, (queued.get(lease.issuer) ?? 0) + 1);
      let left = 0;
      for (const one of due) {
        // One issuer's leases fill at most half of the queue, so that there is always room to learn of the others.
        const same = queued.get(one.lease.issuer) ?? 0;
        if (same >= QUEUE / 2) left += 1;
        else {
          queued.set(one.lease.issuer, same + 1);
          waiting.push({ ...one, takenAt });
        }
      }
      next();
      return left;
    },
  };
}
