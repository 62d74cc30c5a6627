import { DiesByItself, type Issuer } from "../../domain/credential.ts";
import type { LeaseId } from "../../domain/ids.ts";
import type { Lease } from "../../domain/lease.ts";
import { describe } from "../background.ts";
import { inParallel } from "../leases/end.ts";
import type { Parts } from "../parts.ts";
import { isAt } from "./places.ts";

/** What comparing a target with the store brought to light. */
export interface Findings {
  readonly at: number;
  /** Things of ours at the target. */
  readonly seen: number;
  /** At the target, and no lease wants them: ended, or to be ended where nothing was done. At most `NAMED` are named. */
  readonly orphans: readonly LeaseId[];
  readonly orphaned: number;
  /** Leases whose thing is not at the target any more: ended in the store too. */
  readonly missing: readonly LeaseId[];
  readonly missed: number;
  /** Orphans that could not be ended now; the next comparison tries again. */
  readonly failed: number;
  /** `shown`: on hold, nothing was done. */
  readonly mode: "done" | "shown";
}

/** Named in findings; all are counted and, when ended, on the audit. */
const NAMED = 100;
const PAGE = 100;
const AT_ONCE = 4;
/** Many orphans end together at a target that can do that. */
const ENDED_AT_ONCE = 16;
/** One orphan may take this long. */
const REVOKE_MS = 20_000;
/** No credential lives longer. */
const MAX_LIFE_MS = 86_400_000;
/** A lease younger than this when the listing began may have been made after its place was passed. */
const SETTLED_MS = 60_000;

type ReconcileParts = Pick<Parts, "store" | "now" | "log" | "events">;

/**
 * Compares what exists at a target with the leases, both ways: what no lease wants is ended there, and a lease whose thing is gone is
 * ended here. It asks the target first and the store after, so that a lease that is just being made is never taken for an orphan; and
 * it works with an empty store, because names tell which lease made what. With `shown` it only says what it would do.
 */
export async function reconcile(
  parts: ReconcileParts,
  name: string,
  issuer: Issuer,
  mode: Findings["mode"],
  signal: AbortSignal,
): Promise<Findings> {
  const began = parts.now();
  const present = new Set<LeaseId>();
  let orphans: LeaseId[] = [];
  for await (const batch of batches(issuer.list?.(signal) ?? [], PAGE)) {
    for (const id of batch) present.add(id);
    orphans.push(...(await unwanted(parts, batch)));
  }
  let failed = 0;
  if (mode === "done") {
    const gone = new Set<LeaseId>();
    await inParallel(orphans, ENDED_AT_ONCE, async (id) => {
      const how = await endOrphan(parts, name, issuer, id, signal);
      if (how === "failed") failed += 1;
      if (how === "already_gone") gone.add(id);
    });
    // Listed, and ended with its lease while we were looking; or another broker compares too. Nothing was left over.
    orphans = orphans.filter((id) => !gone.has(id));
  }
  const isMissing = (lease: Lease): boolean => lease.openedAt < began - SETTLED_MS && !present.has(lease.id) && isAt(lease, issuer);
  const missing = await gone(parts, name, isMissing, signal);
  if (mode === "done") for (const id of missing) await endMissing(parts, name, id);
  return {
    at: parts.now(),
    seen: present.size,
    orphans: orphans.slice(0, NAMED),
    orphaned: orphans.length,
    missing: missing.slice(0, NAMED),
    missed: missing.length,
    failed,
    mode,
  };
}

/** Those of which the store knows no lease, or only one that is over. Whatever may still be alive is the sweeper's. */
async function unwanted(parts: ReconcileParts, ids: readonly LeaseId[]): Promise<readonly LeaseId[]> {
  const found: LeaseId[] = [];
  await inParallel(ids, AT_ONCE, async (id) => {
    const lease = await parts.store.leases.get(id);
    if (lease === undefined || lease.state === "revoked" || lease.state === "forced") found.push(id);
  });
  return found;
}

async function endOrphan(
  parts: ReconcileParts,
  name: string,
  issuer: Issuer,
  id: LeaseId,
  signal: AbortSignal,
): Promise<"revoked" | "already_gone" | "failed"> {
  try {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(REVOKE_MS)]);
    const order = { leaseId: id, handle: undefined, expiresAt: parts.now() + MAX_LIFE_MS };
    if ((await issuer.revoke(order, deadline)) === "already_gone") return "already_gone";
  } catch (error) {
    if (!(error instanceof DiesByItself))
      parts.log.warn({ target: name, leaseId: id, error: describe(error) }, "an orphan could not be ended");
    return "failed";
  }
  parts.log.warn({ target: name, leaseId: id }, "an orphan was ended at its target");
  await parts.store.audit.append(0, { action: "orphan.ended", principal: "broker", issuer: name, lease: id });
  parts.events.publish("orphan.ended", { lease: id, issuer: name });
  return "revoked";
}

/** Active leases of this target, made at this very place before the listing began, whose thing it did not bring. */
async function gone(
  parts: ReconcileParts,
  name: string,
  isMissing: (lease: Lease) => boolean,
  signal: AbortSignal,
): Promise<readonly LeaseId[]> {
  const missing: LeaseId[] = [];
  let cursor: string | undefined;
  do {
    signal.throwIfAborted();
    const page = await parts.store.leases.list({ issuer: name, state: "active" }, cursor, PAGE);
    for (const lease of page.items) if (isMissing(lease)) missing.push(lease.id);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return missing;
}

/** The sweeper asks the target once more and settles it: already gone is success. */
async function endMissing(parts: ReconcileParts, name: string, id: LeaseId): Promise<void> {
  const lease = await parts.store.leases.get(id);
  if (lease?.state !== "active") return;
  const { subject, workload, grant } = lease;
  const reason = "what it had made is not at its target any more";
  await parts.store.leases.end(id, "revoked", {
    action: "lease.ended",
    principal: "broker",
    subject,
    workload,
    grant,
    issuer: name,
    reason,
  });
}

async function* batches<T>(items: AsyncIterable<T> | Iterable<T>, size: number): AsyncGenerator<readonly T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
