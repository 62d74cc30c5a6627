import type { AuditFacts } from "../../domain/audit-event.ts";
import type { LeaseId, RevocationId, TaskId } from "../../domain/ids.ts";
import type { LeaseEnding, MarkScope, RevocationJob } from "../../store/api.ts";
import { endingOf } from "../../store/records.ts";
import { endAllNow, inParallel } from "../leases/end.ts";
import type { Parts } from "../parts.ts";
import { endingsOf, endTask } from "../tasks/end.ts";
import { RECEIPT_LEASES } from "../tasks/receipt.ts";
import type { PlacedMark, Target } from "./selector.ts";

/** Leases that one clean-up script ends: others must have their turn between two. */
const BATCH = 100;
/** Buckets marked, and cleaned, side by side. */
const MARKING = 16;
const CLEANING = 4;
/** A clean-up that finds nothing says so as often, lest another broker takes the job over. */
const ALIVE_MS = 3_000;

/** Where a job stands while it runs. */
interface Count {
  matched: number;
  ended: number;
  /** Leases that its receipt names already. */
  readonly named: Set<LeaseId>;
  /** What waits for its target stays where a clean-up goes, and may be met again: it is called once. */
  readonly met: Set<LeaseId>;
}

/**
 * Runs a revocation to its end; may be run again by any broker from any point. `inForce` is called once every bucket holds the mark
 * (or the lease or task has ended in the store): from then on nothing that it covers is honoured. All buckets get
 * the job's instant, whenever that is: leases opened since are spared.
 */
export async function runJob(parts: Parts, job: RevocationJob, target: Target, inForce: () => void): Promise<void> {
  const count: Count = { matched: 0, ended: 0, named: new Set(job.endings.map(({ leaseId }) => leaseId)), met: new Set() };
  const audit: AuditFacts = { action: "lease.ended", principal: job.by, revocation: job.id, reason: job.reason };
  if (target.kind === "marks") await runMarks(parts, job, target.marks, audit, count, inForce);
  else if (target.kind === "lease") await runLease(parts, job, target.id, audit, count, inForce);
  else await runTask(parts, job, target.id, count, inForce);
  const { matched, ended } = await parts.store.revocations.progress(job.id, retention(parts), { state: "done" });
  await parts.store.audit.append(HOUSE_BUCKET, {
    action: "revocation.done",
    principal: job.by,
    revocation: job.id,
    matched,
    ended,
  });
  parts.events.publish("revocation.done", { revocation: job.id, matched, ended });
}

const retention = (parts: Parts): number => parts.policy().settings.retentionMs;
/** Records that belong to no bucket stand in the first. */
const HOUSE_BUCKET = 0;

async function runLease(
  parts: Parts,
  job: RevocationJob,
  id: LeaseId,
  audit: AuditFacts,
  count: Count,
  inForce: () => void,
): Promise<void> {
  const lease = await parts.store.leases.end(id, "revoked", audit);
  await note(parts, job.id, count, lease === undefined ? [] : [endingOf({ lease })], parts.now());
  inForce();
  if (lease?.state === "revoking") await endAllNow(parts, [id]);
}

/** In force as soon as as many of its leases are noted as a receipt names; the rest is counted behind that. */
async function runTask(parts: Parts, job: RevocationJob, id: TaskId, count: Count, inForce: () => void): Promise<void> {
  const ending = await endTask(parts, id, "revoked", undefined, { principal: job.by });
  let page: LeaseEnding[] = [];
  let inForceAt: number | undefined;
  const noteAll = async (): Promise<void> => {
    await note(parts, job.id, count, page, inForceAt === undefined ? (inForceAt = parts.now()) : undefined);
    page = [];
    inForce();
  };
  for await (const { endings } of endingsOf(parts, ending?.family ?? [])) {
    for (const each of endings) page.push(each);
    if (page.length >= RECEIPT_LEASES) await noteAll();
  }
  if (page.length > 0 || inForceAt === undefined) await noteAll();
  await endAllNow(parts, ending?.revoking ?? []);
}

async function runMarks(
  parts: Parts,
  job: RevocationJob,
  marks: readonly PlacedMark[],
  audit: AuditFacts,
  count: Count,
  inForce: () => void,
): Promise<void> {
  const places = marks.flatMap(({ scope, buckets }) => buckets.map((bucket) => ({ scope, bucket, at: job.at })));
  // One bucket that cannot be marked, or of whose mark no replica has heard, keeps no other from its own.
  const failures: unknown[] = [];
  await inParallel(places, MARKING, async (place) => {
    const said = { ...audit, action: "revocation.started" } as const;
    await parts.store.revocations.mark(place.bucket, place.scope, job.at, said).then(
      (at) => (place.at = at),
      (error: unknown) => failures.push(error),
    );
  });
  if (failures.length > 0) throw failures[0];
  await parts.store.revocations.progress(job.id, retention(parts), { state: "cleaning", inForceAt: job.inForceAt ?? parts.now() });
  inForce();
  await inParallel(places, CLEANING, (place) => cleanUp(parts, job, place, audit, count));
}

/**
 * Ends what the mark covers in one bucket. The targets are called behind that, which must not wait for a slow one. What a page closed is
 * met by no later walk: where a broker dies before it has noted the page, those leases have ended and are not among the job's totals.
 */
async function cleanUp(
  parts: Parts,
  job: RevocationJob,
  { scope, bucket, at }: { readonly scope: MarkScope; readonly bucket: number; readonly at: number },
  audit: AuditFacts,
  count: Count,
): Promise<void> {
  const { met } = count;
  let notedAt = parts.now();
  let cursor: string | undefined;
  do {
    const page = await parts.store.revocations.endMarked(bucket, scope, at, audit, BATCH, cursor);
    const endings = page.endings.filter(({ leaseId }) => !met.has(leaseId));
    const revoking = page.revoking.filter((id) => !met.has(id));
    for (const id of revoking) met.add(id);
    if (endings.length > 0 || parts.now() - notedAt > ALIVE_MS) {
      await parts.store.revocations.progress(job.id, retention(parts), {
        page: { closed: endings.filter(isOver).map(({ leaseId }) => leaseId), waiting: revoking },
        endings: named(count, endings),
      });
      notedAt = parts.now();
    }
    if (revoking.length > 0) parts.background.run("revoke at targets", () => endAllNow(parts, revoking));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}

/** Notes leases of a walk that meets all that the job covers, each time it is run: totals, so that none counts twice. */
async function note(parts: Parts, id: RevocationId, count: Count, endings: readonly LeaseEnding[], inForceAt?: number): Promise<void> {
  count.matched += endings.length;
  count.ended += endings.filter(isOver).length;
  await parts.store.revocations.progress(id, retention(parts), {
    state: "cleaning",
    matched: count.matched,
    ended: count.ended,
    endings: named(count, endings),
    ...(inForceAt === undefined ? {} : { inForceAt }),
  });
}

const isOver = ({ outcome }: LeaseEnding): boolean => outcome !== "revoking" && outcome !== "stuck";

/** The first of all are named, the rest is counted. */
function named(count: Count, endings: readonly LeaseEnding[]): readonly LeaseEnding[] {
  const first = endings.filter(({ leaseId }) => !count.named.has(leaseId)).slice(0, Math.max(0, RECEIPT_LEASES - count.named.size));
  for (const { leaseId } of first) count.named.add(leaseId);
  return first;
}
