import { performance } from "node:perf_hooks";
import { StintError } from "../../domain/errors.ts";
import { isId, newId, type RevocationId } from "../../domain/ids.ts";
import type { LeaseEnding, RevocationJob } from "../../store/api.ts";
import { endingOf } from "../../store/records.ts";
import { describe } from "../background.ts";
import type { Operator, Origin } from "../callers.ts";
import { inParallel } from "../leases/end.ts";
import type { Parts } from "../parts.ts";
import { pause } from "../sweeper/schedule.ts";
import { WAIT_MS } from "../tasks/end.ts";
import { receiptOf } from "../tasks/receipt.ts";
import type { TaskTokens } from "../tasks/token.ts";
import type { Revocation, RevocationService } from "./api.ts";
import { dryRunOf } from "./dry-run.ts";
import { addLock } from "./locks.ts";
import { once } from "./once.ts";
import { runJob } from "./run.ts";
import { resolve, resolveStored, type Resolved, type Target } from "./selector.ts";

/** A job of which somebody noted something less long ago is left to whoever that was. */
const TAKE_OVER_MS = 10_000;

/** The service, and what the rest of the broker needs of it. */
export interface Revocations extends RevocationService {
  /** Begins a job over something that was resolved before (a withdrawn key). */
  begin(resolved: Resolved, reason: string, by: string, lockMs: number | undefined, origin: Origin | undefined): Promise<Revocation>;
  /** Goes on with jobs that another broker, or this one before it died, left unfinished. */
  resume(): Promise<void>;
}

export function createRevocations(parts: Parts, tokens: TaskTokens): Revocations {
  const running = new Set<RevocationId>();

  /** Runs the job behind the answer. Resolves true as soon as it is in force, false when it broke off before that. */
  function run(job: RevocationJob, resolved: Resolved): Promise<boolean> {
    running.add(job.id);
    return new Promise((resolve) => {
      parts.background.run("revocation", async () => {
        try {
          await runJob(parts, job, resolved.target, () => resolve(true));
        } catch (error) {
          // It is on record, unfinished: whichever broker looks next goes on with it.
          parts.log.error({ revocationId: job.id, error: describe(error) }, "revocation interrupted");
        } finally {
          running.delete(job.id);
          resolve(false);
        }
      });
    });
  }

  async function begin(
    resolved: Resolved,
    reason: string,
    by: string,
    lockMs: number | undefined,
    origin: Origin | undefined,
  ): Promise<Revocation> {
    // First the lock: what is revoked must not be issued again in between.
    const lock =
      lockMs === undefined
        ? undefined
        : await addLock(parts, resolved.lock, { ttlMs: lockMs, reason, message: undefined, by, traceId: origin?.traceId });
    const at = await instantOf(resolved.target);
    const job: RevocationJob = {
      id: newId("rev", at),
      state: "marking",
      selector: resolved.stored,
      reason,
      by,
      at,
      matched: 0,
      ended: 0,
      inForceAt: undefined,
      lockId: lock?.id,
      endings: [],
    };
    await parts.store.revocations.create(job, parts.policy().settings.retentionMs);
    await parts.store.audit.append(0, {
      action: "revocation.started",
      principal: by,
      revocation: job.id,
      selector: resolved.stored,
      reason,
      ...(origin === undefined ? {} : { trace_id: origin.traceId }),
    });
    parts.events.publish("revocation.started", { revocation: job.id, selector: resolved.stored, by });
    const began = performance.now();
    const over = new AbortController();
    const inForce = await Promise.race([run(job, resolved), pause(WAIT_MS, over.signal).then(() => false)]);
    over.abort();
    if (!inForce)
      throw new StintError(
        "revocation_pending",
        "the revocation has begun but is not in force everywhere yet; it goes on, follow it by its id",
        { revocationId: job.id, retryAfterSeconds: 2 },
      );
    const begun = await parts.store.revocations.get(job.id);
    await parts.facts.awaited(begun?.endings ?? [], WAIT_MS - (performance.now() - began));
    return view(job.id);
  }

  /** When it takes effect. One instant for all buckets, chosen before the first is told: a token is under the mark or is not, everywhere. */
  async function instantOf(target: Target): Promise<number> {
    return target.kind === "marks"
      ? parts.store.revocations.instant([...new Set(target.marks.flatMap(({ buckets }) => buckets))])
      : parts.now();
  }

  async function view(id: RevocationId): Promise<Revocation> {
    const job = await parts.store.revocations.get(id);
    if (job === undefined) throw noSuchRevocation();
    return viewOf(parts, job);
  }

  return {
    begin,
    dryRun: async (selector) => dryRunOf(parts, await resolve(parts, tokens, selector)),
    start: ({ selector, reason, lockMs, operator, idempotency, origin }) =>
      once(
        parts,
        { idempotency, operator, origin },
        {
          make: async () => begin(await resolve(parts, tokens, selector), reason, principalOf(operator), lockMs, origin),
          remember: (made) => (made instanceof StintError ? made.facts.revocationId : made.id),
          recall: (id) => view(id as RevocationId),
        },
      ),
    async get(id) {
      if (!isId("rev", id)) throw noSuchRevocation();
      return view(id);
    },
    async list(cursor, limit) {
      const page = await parts.store.revocations.list(cursor, limit);
      // A list shows each job as it was recorded; its receipt is brought up to date when the job itself is read.
      const items: Revocation[] = [];
      for (const job of page.items) items.push(shown(parts, job, await parts.facts.of(job.endings)));
      return { items, nextCursor: page.nextCursor };
    },
    async resume() {
      for (const job of await parts.store.revocations.unfinished()) {
        if (running.has(job.id) || parts.now() - Math.max(job.at, job.notedAt ?? 0) < TAKE_OVER_MS) continue;
        const resolved = await resolveStored(parts, tokens, job.selector).catch((error: unknown) => gone(error));
        if (resolved === undefined) await parts.store.revocations.progress(job.id, parts.policy().settings.retentionMs, { state: "done" });
        else await run(job, resolved);
      }
    },
  };
}

/** What a job covered may have left the store by now; then there is nothing to go on with. */
function gone(error: unknown): undefined {
  if (error instanceof StintError && error.code === "not_found") return undefined;
  throw error;
}

const noSuchRevocation = (): StintError => new StintError("not_found", "there is no such revocation");
const principalOf = (operator: Operator): string => `operator:${operator.name}`;

/** The job with its receipt as it stands now: what was still being revoked is read again. */
async function viewOf(parts: Parts, job: RevocationJob): Promise<Revocation> {
  const endings: LeaseEnding[] = [...job.endings];
  let since = 0;
  await inParallel([...endings.keys()], 16, async (index) => {
    const ending = endings[index];
    if (ending === undefined || (ending.outcome !== "revoking" && ending.outcome !== "stuck")) return;
    const lease = await parts.store.leases.get(ending.leaseId);
    if (lease === undefined) return;
    const now = endingOf({ lease });
    endings[index] = { ...now, tookMs: ending.tookMs };
    if (now.outcome !== "revoking" && now.outcome !== "stuck") since += 1;
  });
  return shown(parts, { ...job, ended: Math.min(job.matched, job.ended + since) }, await parts.facts.settled(job.id, endings));
}

function shown(parts: Parts, job: RevocationJob, endings: readonly LeaseEnding[]): Revocation {
  const more = Math.max(0, job.matched - endings.length);
  const receipt = receiptOf({ revocation: job.id, endedBy: "revoked" }, endings, parts.now(), {
    more,
    settled: job.state === "done" && job.ended >= job.matched,
  });
  const { id, state, selector, reason, by, at, matched, ended, inForceAt, lockId } = job;
  return { id, state, selector, reason, by, at, matched, ended, inForceAt, lockId, receipt };
}
