import { atTarget } from "../telemetry/metered.ts";
import { DiesByItself, PermanentFailure, RetryableFailure } from "../../domain/credential.ts";
import type { LeaseId } from "../../domain/ids.ts";
import type { Secret } from "../../domain/secret.ts";
import type { DueLease } from "../../store/api.ts";
import { describe, firstLine } from "../background.ts";
import type { Parts } from "../parts.ts";
import { blamesTarget } from "../sweeper/breaker.ts";
import { backoffMs, isStuck, MAX_BACKOFF_MS, type Random } from "../sweeper/backoff.ts";

/** A call at a target may take this long; a claim lasts a minute, so nobody else tries meanwhile. */
export const REVOKE_DEADLINE_MS = 20_000;
/** Calls at targets that one request or job keeps in flight. */
const AT_ONCE = 16;

/** `waits`: nothing failed, only time can end it (`DiesByItself`). `stays`: something is wrong with this one, not with its target. */
export type EndOutcome = "revoked" | "already_gone" | "postponed" | "waits" | "stays" | "superseded" | "nothing";
type EndParts = Pick<Parts, "store" | "enderOf" | "sealer" | "now" | "random" | "log" | "events" | "meter" | "onHold">;

/**
 * Ends one claimed lease at its target and settles the record; a failure postpones it, without end. Already gone is success.
 * Whoever comes late with an old epoch changes nothing. `onFailure` hears what the target said.
 */
export async function endClaimed(parts: EndParts, due: DueLease, onFailure?: (error: unknown) => void): Promise<EndOutcome> {
  const { lease, epoch } = due;
  let how: "revoked" | "already_gone";
  try {
    how = await revokeAtTarget(parts, due);
  } catch (error) {
    onFailure?.(error);
    return postpone(parts, due, error);
  }
  const settled = await parts.store.leases.settle(lease.id, epoch, how);
  if (settled === "superseded") return "superseded";
  const from = Math.min(lease.endedAt ?? lease.expiresAt, lease.expiresAt);
  parts.meter.revocationPropagated("target", Math.max(0, parts.now() - from) / 1000);
  // whoever ended it earlier has told so; nobody tells of what only time has ended
  const expired = lease.endedBy === undefined || lease.endedBy === "expiry" ? { ended_by: "expiry" } : {};
  parts.events.publish("lease.ended", { lease: lease.id, task: lease.task, workload: lease.workload, grant: lease.grant, how, ...expired });
  return how;
}

async function revokeAtTarget(parts: EndParts, { lease, handle }: DueLease): Promise<"revoked" | "already_gone"> {
  const { issuer, doubt } = parts.enderOf(lease, handle !== undefined);
  const opened: Secret | undefined = handle === undefined ? undefined : parts.sealer.open(lease.id, handle);
  const order = { leaseId: lease.id, handle: opened, expiresAt: lease.expiresAt };
  const how = await atTarget(parts.meter, lease.issuer, "end", () => issuer.revoke(order, AbortSignal.timeout(REVOKE_DEADLINE_MS)));
  if (how === "already_gone" && doubt !== undefined) throw new PermanentFailure(doubt);
  return how;
}

async function postpone(parts: EndParts, { lease, epoch }: DueLease, error: unknown): Promise<EndOutcome> {
  const attempts = lease.attempts + 1;
  const waits = error instanceof DiesByItself;
  const dueSince = lease.endedAt ?? lease.expiresAt;
  const stuck = !waits && isStuck({ permanent: error instanceof PermanentFailure, attempts, dueForMs: parts.now() - dueSince });
  const delayMs = waits ? Math.max(100, error.deadAt - parts.now()) : stuck ? MAX_BACKOFF_MS : nextTryMs(attempts, error, parts.random);
  const said = firstLine(error);
  const fields = { leaseId: lease.id, issuer: lease.issuer, attempts, stuck, error: said };
  if (waits) parts.log.info(fields, "lease waits for its credential to die by itself");
  else parts.log.warn(fields, "lease could not be ended at its target");
  const outcome = await parts.store.leases.postpone(lease.id, epoch, { delayMs, error: said, stuck });
  if (stuck && outcome === "postponed") parts.events.publish("lease.stuck", { lease: lease.id, issuer: lease.issuer, error: said });
  if (outcome !== "postponed") return outcome;
  return waits ? "waits" : blamesTarget(error) ? outcome : "stays";
}

/** Never sooner than the target asked for, and never later than the slowest pace, whatever it asked for. */
function nextTryMs(attempts: number, error: unknown, random: Random): number {
  const asked = error instanceof RetryableFailure ? (error.retryAfterMs ?? 0) : 0;
  return Math.min(MAX_BACKOFF_MS, Math.max(asked, backoffMs(attempts, random)));
}

/** Claims one lease that is being ended and tries at once; not while the broker is on hold. */
export async function endNow(parts: EndParts, id: LeaseId): Promise<EndOutcome> {
  if (parts.onHold()) return "nothing";
  const due = await parts.store.leases.claim(id);
  return due === undefined ? "nothing" : endClaimed(parts, due);
}

/** Tries all of these at once, a bounded number at a time. A failed one does not keep the others. */
export async function endAllNow(parts: EndParts, ids: readonly LeaseId[], signal?: AbortSignal): Promise<void> {
  await inParallel(ids, AT_ONCE, async (id) => {
    if (signal?.aborted === true) return; // still claimed by nobody and due: the sweeper has it
    try {
      await endNow(parts, id);
    } catch (error) {
      parts.log.warn({ leaseId: id, error: describe(error) }, "lease stays due");
    }
  });
}

/** Runs `work` over all items, at most `width` at a time. Throws the first error after all have finished. */
export async function inParallel<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]();
  let failed: { readonly error: unknown } | undefined;
  const lanes = Array.from({ length: Math.min(width, items.length) }, async () => {
    for (const item of queue) {
      try {
        await work(item);
      } catch (error) {
        failed ??= { error };
      }
    }
  });
  await Promise.all(lanes);
  if (failed !== undefined) throw failed.error;
}
