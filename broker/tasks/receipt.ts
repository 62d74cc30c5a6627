import type { RevocationId, TaskId } from "../../domain/ids.ts";
import type { EndedBy, LeaseOutcome } from "../../domain/lease.ts";
import type { LeaseEnding } from "../../store/api.ts";
import type { Receipt, ReceiptLease } from "./api.ts";

/** A receipt names at most this many leases; beyond them it counts. */
export const RECEIPT_LEASES = 1_000;

const UNSETTLED: ReadonlySet<LeaseOutcome> = new Set<LeaseOutcome>(["revoking", "stuck"]);

/**
 * One lease as a receipt says it. A token that offline verifiers may honour is never called revoked before its `exp`: its outcome is
 * `dead_by`. A target that has not confirmed has no time of death.
 */
export function receiptLease(ending: LeaseEnding, now: number): ReceiptLease {
  const outcome = honestOutcome(ending, now);
  return {
    leaseId: ending.leaseId,
    issuer: ending.issuer,
    outcome,
    revocation: ending.revocation,
    deadBy: deadByOf(ending, outcome),
    tookMs: ending.tookMs,
    reason: ending.reason,
  };
}

function honestOutcome(ending: LeaseEnding, now: number): LeaseOutcome {
  if (ending.outcome !== "revoked" && ending.outcome !== "dead_by") return ending.outcome;
  if (ending.revocation === "immediate") return "revoked";
  const deadBy = ending.revocation === "expiry_only" ? ending.expiresAt : (ending.deadBy ?? ending.expiresAt);
  return deadBy <= now ? "revoked" : "dead_by";
}

/**
 * What only expires dies at its expiry, whoever ended the lease; what a target confirmed, when it did. What verifiers check dies when
 * the last of them knew (`deadBy`, from the facts); where that was not asked it is its expiry, too.
 */
function deadByOf(ending: LeaseEnding, outcome: LeaseOutcome): number | undefined {
  if (outcome === "revoking" || outcome === "stuck") return undefined;
  if (outcome === "forced" || ending.revocation === "expiry_only") return ending.expiresAt;
  if (ending.revocation === "verifier_checked") return Math.min(ending.deadBy ?? ending.expiresAt, ending.expiresAt);
  // A target confirms later than the lease ended: it was dead once it had confirmed.
  return (ending.endedAt ?? ending.expiresAt) + (ending.tookMs ?? 0);
}

interface Receipted {
  readonly task?: TaskId;
  readonly revocation?: RevocationId;
  readonly endedBy: EndedBy | undefined;
}

/** A receipt while its leases are read, page by page: it names the first of them, and weighs all. */
export class ReceiptDraft {
  readonly #leases: ReceiptLease[] = [];
  #more = 0;
  #settled = true;
  #deadBy: number | undefined;

  add(endings: readonly LeaseEnding[], now: number): void {
    for (const ending of endings) {
      const lease = receiptLease(ending, now);
      if (this.#leases.length < RECEIPT_LEASES) this.#leases.push(lease);
      else this.#more += 1;
      if (UNSETTLED.has(lease.outcome)) this.#settled = false;
      if (lease.deadBy !== undefined && (this.#deadBy === undefined || lease.deadBy > this.#deadBy)) this.#deadBy = lease.deadBy;
    }
  }

  /** `more` counts ended leases that were not added. */
  finish(what: Receipted, beyond: { readonly more: number; readonly settled: boolean } = { more: 0, settled: true }): Receipt {
    const settled = beyond.settled && this.#settled;
    return {
      task: what.task,
      revocation: what.revocation,
      endedBy: what.endedBy,
      settled,
      leases: this.#leases,
      deadBy: settled ? this.#deadBy : undefined,
      more: beyond.more + this.#more,
    };
  }
}

/** The receipt of a task or a revocation as it stands at `now`. `more` counts ended leases that are not among `endings`. */
export function receiptOf(
  what: Receipted,
  endings: readonly LeaseEnding[],
  now: number,
  beyond?: { readonly more: number; readonly settled: boolean },
): Receipt {
  const draft = new ReceiptDraft();
  draft.add(endings, now);
  return draft.finish(what, beyond);
}
