import { StintError } from "../domain/errors.ts";
import { bucketOfId, bucketOfSubject, instantOf, newId, subjectBits } from "../domain/ids.ts";
import type { LimitedBy } from "../domain/lease.ts";
import { claimsText } from "../domain/principal.ts";
import type { DueLease, LeaseStore, OpenOrder, OpenReply } from "./api.ts";
import { denialArgs, evidenceArgs, idempotencyArgs, refused, valueHash } from "./arguments.ts";
import { dueBuckets, countLeases } from "./due.ts";
import { credentialNotes } from "./credentials.ts";
import { ALL_BUCKETS, bare, externalNameKey } from "./keyspace.ts";
import { NotKept } from "./keep.ts";
import { listLeases } from "./lease-list.ts";
import { classLetter, readLease } from "./records.ts";
import { readTask } from "./task-records.ts";
import { texts, type Runner } from "./run.ts";

/** A claimed lease is hidden from other sweepers for this long; a dead sweeper's work reappears after it. */
export const CLAIM_MS = 60_000;
const HOUR_MS = 3_600_000;

/** The lease half of the store: one method, one script. */
export function createLeaseStore(runner: Runner): LeaseStore {
  const notes = credentialNotes(runner);
  return {
    open: (order) => open(runner, order),
    async activate(id, made) {
      if (made.externalName !== undefined) {
        const key = externalNameKey(made.externalName);
        await runner.ask((client) => client.set(key, bare(id), "PX", 26 * HOUR_MS));
      }
      const said = JSON.stringify({ action: "lease.activated", principal: "broker" });
      const ended = JSON.stringify({ action: "lease.ending", principal: "broker", ended_by: "issue_failed" });
      const reply = texts(
        await runner.run("activate-lease", bucketOfId(id), {
          id: bare(id),
          handle: made.handle ?? "",
          name: made.externalName ?? "",
          said,
          ended,
        }),
      );
      return reply[0] === "activated" ? "activated" : "already_ended";
    },
    noteCredential: (id, sha256, expiresAt) => notes.add(id, sha256, Math.ceil(Math.max(1000, expiresAt + HOUR_MS - runner.clock.now()))),
    async renew(order) {
      const reply = texts(
        await runner.run("renew-lease", bucketOfId(order.id), {
          id: bare(order.id),
          task_id: bare(order.taskId),
          key: order.keyId ?? "",
          jti: order.jti,
          ttl: order.ttlMs,
          limited_by: order.limitedBy,
          status: order.hasStatus === true ? 1 : 0,
          ...idempotencyArgs(order.idempotency),
          said: JSON.stringify(order.audit),
          ...denialArgs(order.denial, order.audit, order.retentionMs),
        }),
      );
      if (reply[0] !== "renewed") return refused(reply);
      const { lease } = readLease(bare(order.id), reply[1] ?? "", false);
      return { outcome: "renewed", lease, limitedBy: reply[2] as LimitedBy, jti: reply[3] ?? order.jti };
    },
    async get(id) {
      const reply = texts(await runner.run("read-lease", bucketOfId(id), { id: bare(id) }));
      return reply[0] === "known" ? readLease(bare(id), reply[1] ?? "", reply[2] === "1").lease : undefined;
    },
    async isLive(id, keyId) {
      return (await runner.run("is-live", bucketOfId(id), { id: bare(id), key: keyId ?? "" })) === 1;
    },
    async list(filter, cursor, limit) {
      if (filter.credentialSha256 !== undefined) await notes.written();
      return listLeases(runner, filter, cursor, limit);
    },
    async end(id, by, audit) {
      const reply = texts(await runner.run("end-lease", bucketOfId(id), { id: bare(id), by, said: JSON.stringify(audit) }));
      return reply[0] === "ended" ? readLease(bare(id), reply[1] ?? "", false).lease : undefined;
    },
    async endLive(id, by, audit) {
      const reply = texts(await runner.run("end-lease", bucketOfId(id), { id: bare(id), by, said: JSON.stringify(audit) }));
      return reply[0] === "ended" && reply[2] === "1" ? readLease(bare(id), reply[1] ?? "", false).lease : undefined;
    },
    async claimDue(bucket, limit, calls, busy = []) {
      const reply = texts(
        await runner.run("claim-due", bucket, { limit, calls: calls === "allowed" ? 1 : 0, hide: CLAIM_MS, busy: busy.join(" ") }),
      );
      const claimed: DueLease[] = [];
      for (let at = 2; at + 1 < reply.length; at += 2) claimed.push(dueLease(reply[at] ?? "", reply[at + 1] ?? ""));
      return { expired: Number(reply[0]), claimed, more: Number(reply[1]) >= limit };
    },
    dueBuckets: () => dueBuckets(runner),
    async claim(id) {
      const reply = texts(await runner.run("claim-lease", bucketOfId(id), { id: bare(id), hide: CLAIM_MS }));
      return reply[0] === "claimed" ? dueLease(bare(id), reply[1] ?? "") : undefined;
    },
    async giveBack(id, epoch) {
      await runner.run("give-back-lease", bucketOfId(id), { id: bare(id), epoch });
    },
    async settle(id, epoch, how) {
      return texts(await runner.run("settle-lease", bucketOfId(id), { id: bare(id), epoch, how }))[0] === "settled"
        ? "settled"
        : "superseded";
    },
    async postpone(id, epoch, to) {
      const reason = to.error.slice(0, 300);
      const args = { id: bare(id), epoch, delay: Math.ceil(to.delayMs), reason, stuck: to.stuck ? 1 : 0 };
      return texts(await runner.run("postpone-lease", bucketOfId(id), args))[0] === "postponed" ? "postponed" : "superseded";
    },
    async force(id, operator, reason) {
      const said = JSON.stringify({ action: "lease.forced", principal: `operator:${operator}` });
      const reply = texts(await runner.run("force-lease", bucketOfId(id), { id: bare(id), reason: reason.slice(0, 300), said }));
      return reply[0] === "ended" ? readLease(bare(id), reply[1] ?? "", false).lease : undefined;
    },
    counts: () => countLeases(runner, ALL_BUCKETS),
  };
}

async function open(runner: Runner, order: OpenOrder): Promise<OpenReply> {
  const { principal } = order;
  const bucket = bucketOfSubject(principal.subject);
  if (bucketOfId(order.leaseId) !== bucket) throw new StintError("server_error", "the lease id belongs to another subject");
  const opened = instantOf(order.leaseId);
  const task = taskArgs(order.task, order);
  const used = evidenceArgs(principal.evidence, runner.clock.now());
  const asked = runner
    .run("open-lease", bucket, {
      id: bare(order.leaseId),
      subject: principal.subject,
      workload: principal.workload,
      trust: principal.trust,
      grant: order.grant,
      issuer: order.issuer,
      key: order.keyId ?? "",
      state: order.state,
      class: classLetter(order.revocation),
      opened,
      ttl: order.ttlMs,
      limited_by: order.limitedBy,
      max_ttl: order.maxTtlMs,
      task_kind: task.task_kind,
      task_ref: task.task_ref,
      task_hash: task.task_hash,
      task_value: task.task_value,
      task_ttl: order.implicitTaskTtlMs,
      purpose: order.purpose ?? "",
      terms: order.terms ?? "",
      status: order.hasStatus === true ? 1 : 0,
      limit_active: order.limits.active ?? -1,
      limit_hour: order.limits.perHour ?? -1,
      evidence: used.evidence,
      evidence_max: used.evidence_max,
      evidence_ttl: used.evidence_ttl,
      evidence_key: used.evidence_key,
      proof: used.proof,
      proof_ttl: used.proof_ttl,
      idem: order.idempotency?.key ?? "",
      idem_body: order.idempotency?.body ?? "",
      replay: order.replay ?? "",
      said: JSON.stringify(order.audit),
      claims: claimsText(principal.claims),
      denial: bare(order.denial.id),
      denial_at: order.denial.at,
      denial_route: order.denial.route,
      denial_trace: order.denial.traceId,
      retention: order.retentionMs,
    })
    .catch((error: unknown) => {
      if (error instanceof NotKept && order.idempotency === undefined) void giveUp(runner, order);
      throw error;
    });
  const reply = texts(await asked);
  if (reply[0] === "superseded") return { outcome: "superseded", mark: Number(reply[1]), keyWithdrawn: reply[2] === "key" };
  if (reply[0] === "refused") return refused(reply);
  const [outcome, leaseText = "", taskText = "", limit] = reply;
  const id = outcome === "replayed" ? (reply[4] ?? "") : bare(order.leaseId);
  const lease = readLease(id, leaseText, false).lease;
  const opening = readTask(bare(lease.task), taskText);
  const limitedBy = limit as LimitedBy;
  if (outcome === "replayed") return { outcome, lease, task: opening, limitedBy, replay: reply[5] ?? "" };
  return { outcome: "opened", lease, task: opening, limitedBy, taskOpened: reply[4] === "1" };
}

/** Nobody will ever be told of it, so it shall count for nobody. With an idempotency key it is asked for again, and told then. */
async function giveUp(runner: Runner, order: OpenOrder): Promise<void> {
  const said = JSON.stringify({ action: "lease.ended", principal: "broker", ended_by: "issue_failed" });
  const args = { id: bare(order.leaseId), by: "issue_failed", said };
  await runner.run("end-lease", bucketOfId(order.leaseId), args).catch(() => undefined); // else it ends by its time
}

function taskArgs(
  ref: OpenOrder["task"],
  order: OpenOrder,
): { task_kind: string; task_ref: string; task_hash: string; task_value: string } {
  const { subject, trust } = order.principal;
  if (ref.kind === "task") return { task_kind: "task", task_ref: bare(ref.id), task_hash: "", task_value: "" };
  const own = bare(newId("task", instantOf(order.leaseId), subjectBits(subject)));
  if (ref.kind === "own") return { task_kind: "own", task_ref: own, task_hash: "", task_value: "" };
  return { task_kind: "implicit", task_ref: own, task_hash: valueHash(subject, trust, ref.value), task_value: ref.value.slice(0, 256) };
}

function dueLease(bareId: string, text: string): DueLease {
  const { lease, epoch, handle } = readLease(bareId, text, false);
  return { lease, epoch, handle };
}
