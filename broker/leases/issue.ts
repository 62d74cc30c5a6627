import { hash } from "node:crypto";
import type { IssueOrder, Issued, Issuer } from "../../domain/credential.ts";
import { StintError } from "../../domain/errors.ts";
import { newId, subjectBits, type LeaseId, type TaskId } from "../../domain/ids.ts";
import type { Lease, LimitedBy, RevocationClass } from "../../domain/lease.ts";
import type { Principal } from "../../domain/principal.ts";
import type { Task } from "../../domain/task.ts";
import type { Idempotency, OpenOrder, OpenReply, TaskRef } from "../../store/api.ts";
import { denialFor, refusalOf, refuse } from "../denials/refusals.ts";
import type { Parts } from "../parts.ts";
import type { Allowed } from "../policy/decide.ts";
import type { Policy } from "../policy/policy.ts";
import type { GrantRequest, IdempotencyHint, IssuedCredential, Origin } from "../services.ts";
import { choose } from "./choose.ts";
import { endNow } from "./end.ts";
import { recall, toReplay } from "./replay.ts";
import { revocationClassOf } from "./revocation-class.ts";
import { termsOf, termsTooLong } from "./terms.ts";
import { shortestTtl } from "./ttl.ts";

/** The store gives a pending lease 30 s; an issuer must be done before. */
export const ISSUE_DEADLINE_MS = 25_000;
/** How far ahead of our own time an id may lie to come after a mark. */
const MAX_AHEAD_MS = 2_000;

/** A request whose asker is known. */
export interface IssueRequest {
  readonly principal: Principal;
  readonly request: GrantRequest;
  readonly audiences: readonly string[];
  readonly task: TaskRef;
  readonly parent: TaskId | undefined;
  /** End of the evidence, where it is a token of our own. */
  readonly evidenceEndsAt: number | undefined;
  readonly idempotency: IdempotencyHint | undefined;
  readonly origin: Origin;
}

/** One request on its way through: what was decided, before anything is written. */
interface Plan {
  readonly asked: IssueRequest;
  readonly policy: Policy;
  readonly verdict: Allowed;
  readonly keyId: string | undefined;
  readonly issuer: Issuer;
  readonly params: unknown;
  readonly ttlMs: number;
  readonly limitedBy: LimitedBy;
  readonly revocation: RevocationClass;
}

/** Decides, opens the lease, makes the credential. Refusals are recorded and thrown. */
export async function issue(parts: Parts, asked: IssueRequest): Promise<IssuedCredential> {
  parts.gate.require();
  const plan = await decideOn(parts, asked);
  const reply = await open(parts, plan);
  if (reply.outcome === "replayed") return replayed(plan, reply);
  return reply.lease.state === "pending" ? makeOutside(parts, plan, reply.lease, reply.task, reply.limitedBy) : makeHere(parts, plan, reply.lease, reply.task, reply.limitedBy);
}

async function decideOn(parts: Parts, asked: IssueRequest): Promise<Plan> {
  const policy = parts.policy();
  const now = parts.now();
  const taskId = asked.task.kind === "task" ? asked.task.id : undefined;
  const { principal, request, audiences, origin } = asked;
  const verdict = choose(policy, { principal, request, audiences, task: { id: taskId, parent: asked.parent }, now, origin });
  const subject = { principal, grant: request.grant, origin };
  if (!verdict.allowed) return refuse(parts, subject, verdict);
  const { grant } = verdict;
  const issuer = parts.issuers.get(grant.issue.issuer);
  if (issuer === undefined) throw new StintError("issuer_unavailable", `the issuer of ${grant.name} is not available`, { retryAfterSeconds: 30 });
  if (termsTooLong(termsOf(request, verdict.scope, grant))) throw new StintError("invalid_request", "purpose, resource, environment and scope together are too long");
  const evidenceLeftMs = asked.evidenceEndsAt === undefined ? undefined : asked.evidenceEndsAt - now;
  const { ttlMs, limitedBy } = shortestTtl({ askedMs: request.ttlMs, grant: grant.issue, taskLeftMs: undefined, issuerMaxMs: issuer.maxTtlMs, evidenceLeftMs });
  const revocation = revocationClassOf(issuer, grant.issue.audience, policy);
  const { params } = grant.issue;
  return { asked, policy, verdict, keyId: await issuer.keyId?.(params), issuer, params, ttlMs, limitedBy, revocation };
}

type Opened = Extract<OpenReply, { readonly lease: Lease }>;

/** One script. A mark over this very instant is met by coming back once, just after it. */
async function open(parts: Parts, plan: Plan): Promise<Opened> {
  const { principal } = plan.asked;
  const bits = subjectBits(principal.subject);
  let at = parts.now();
  for (let tries = 0; tries < 2; tries += 1) {
    const order = orderOf(parts, plan, newId("lease", at, bits));
    const reply = await parts.store.leases.open(order);
    if (reply.outcome === "refused") {
      parts.events.publish("request.denied", { denial: order.denial.id, code: reply.code, grant: order.grant, workload: principal.workload });
      throw refusalOf(reply, order.denial.id);
    }
    if (reply.outcome !== "superseded") {
      parts.events.publish(order.audit.action, { lease: reply.lease.id, task: reply.task.id, grant: order.grant, workload: principal.workload });
      return reply;
    }
    if (reply.mark - parts.now() > MAX_AHEAD_MS) break;
    at = Math.max(parts.now(), reply.mark + 1);
  }
  throw new StintError("superseded", "a revocation is in force for this very instant; ask again", { retryAfterSeconds: 1 });
}

function orderOf(parts: Parts, plan: Plan, leaseId: LeaseId): OpenOrder {
  const { asked, policy, verdict, issuer } = plan;
  const { principal, request, origin } = asked;
  const { grant } = verdict;
  const denial = denialFor({ principal, grant: grant.name, origin }, parts.now());
  return {
    leaseId,
    principal,
    grant: grant.name,
    issuer: issuer.kind,
    keyId: plan.keyId,
    state: issuer.computesOnly ? "active" : "pending",
    revocation: plan.revocation,
    ttlMs: plan.ttlMs,
    limitedBy: plan.limitedBy,
    maxTtlMs: Math.max(plan.ttlMs, Math.min(grant.issue.maxTtlMs, issuer.maxTtlMs)),
    task: asked.task,
    implicitTaskTtlMs: policy.settings.implicitTaskTtlMs,
    limits: grant.limits,
    idempotency: idempotencyOf(asked),
    replay: asked.idempotency === undefined || !issuer.computesOnly ? undefined : toReplay({ ttlMs: plan.ttlMs, scope: verdict.scope, purpose: request.purpose, params: plan.params }),
    purpose: request.purpose === "" ? undefined : request.purpose,
    terms: termsOf(request, verdict.scope, grant),
    audit: {
      action: issuer.computesOnly ? "lease.issued" : "lease.opened",
      principal: principal.subject,
      decision: "allow",
      rule: verdict.rule,
      ...(verdict.shadowed === undefined ? {} : { let_through: verdict.shadowed.code }),
      policy: policy.version,
      trust: principal.trust,
      workload: principal.workload,
      subject: principal.subject,
      grant: grant.name,
      issuer: issuer.kind,
      ...(request.purpose === "" ? {} : { purpose: request.purpose }),
      trace_id: origin.traceId,
    },
    denial,
    retentionMs: policy.settings.retentionMs,
  };
}

/** Scope of a key: subject, route, and the evidence or the task (CORE, Idempotency). */
export function idempotencyOf(asked: Pick<IssueRequest, "idempotency" | "principal" | "origin">): Idempotency | undefined {
  const { idempotency, principal, origin } = asked;
  if (idempotency === undefined) return undefined;
  const within = principal.taskId ?? principal.evidence.hash;
  return { key: hash("sha256", [principal.subject, origin.route, within, idempotency.key].join("\u0000"), "hex"), body: idempotency.bodySha256 };
}

function issueOrder(lease: Lease, plan: Plan, task: Task): IssueOrder<unknown> {
  return {
    leaseId: lease.id,
    taskId: task.id,
    jti: lease.id,
    subject: lease.subject,
    workload: lease.workload,
    trust: lease.trust,
    grant: lease.grant,
    purpose: plan.asked.request.purpose === "" ? undefined : plan.asked.request.purpose,
    scope: plan.verdict.scope,
    issuedAt: lease.openedAt,
    expiresAt: lease.expiresAt,
    params: plan.params,
  };
}

/** A signature: the lease is active already. Should signing fail, nobody got anything and the lease ends. */
async function makeHere(parts: Parts, plan: Plan, lease: Lease, task: Task, limitedBy: LimitedBy): Promise<IssuedCredential> {
  let made: Issued;
  try {
    made = await plan.issuer.issue(issueOrder(lease, plan, task), AbortSignal.timeout(ISSUE_DEADLINE_MS));
  } catch (error) {
    await abandon(parts, lease);
    throw issuerFailed(lease, error);
  }
  noteCredential(parts, lease, made);
  return answer(plan, lease, task, limitedBy, made, false);
}

/** An effect outside: pending is recorded, the credential made, its handle sealed, the lease activated; only then is it answered. */
async function makeOutside(parts: Parts, plan: Plan, lease: Lease, task: Task, limitedBy: LimitedBy): Promise<IssuedCredential> {
  let made: Issued | undefined;
  try {
    made = await plan.issuer.issue(issueOrder(lease, plan, task), AbortSignal.timeout(ISSUE_DEADLINE_MS));
    const handle = made.handle === undefined ? undefined : parts.sealer.seal(lease.id, made.handle);
    const activated = await parts.store.leases.activate(lease.id, { handle, externalName: undefined });
    if (activated === "already_ended") throw new StintError("task_ended", "the task or the lease ended while the credential was made; it was revoked");
  } catch (error) {
    await undo(parts, plan.issuer, lease, made);
    throw error instanceof StintError ? error : issuerFailed(lease, error);
  }
  noteCredential(parts, lease, made);
  return answer(plan, { ...lease, state: "active" }, task, limitedBy, made, false);
}

/** Revokes what may have been made, then gives the lease up. If either fails the lease is due anyway, and the sweeper finishes. */
async function undo(parts: Parts, issuer: Issuer, lease: Lease, made: Issued | undefined): Promise<void> {
  try {
    await issuer.revoke({ leaseId: lease.id, handle: made?.handle }, AbortSignal.timeout(ISSUE_DEADLINE_MS));
  } catch (error) {
    parts.log.warn({ leaseId: lease.id, issuer: issuer.kind, error: String(error).slice(0, 200) }, "a credential that was not handed out could not be revoked at once");
  }
  await abandon(parts, lease);
}

async function abandon(parts: Parts, lease: Lease): Promise<void> {
  try {
    const ended = await parts.store.leases.end(lease.id, "issue_failed", { action: "lease.ended", principal: "broker", subject: lease.subject, grant: lease.grant, issuer: lease.issuer });
    if (ended?.state === "revoking") await endNow(parts, lease.id);
  } catch (error) {
    parts.log.warn({ leaseId: lease.id, error: String(error).slice(0, 200) }, "a lease that failed stays due");
  }
}

function issuerFailed(lease: Lease, error: unknown): StintError {
  return new StintError("issuer_unavailable", `the issuer ${lease.issuer} could not make the credential; nothing was handed out`, { retryAfterSeconds: 5, leaseId: lease.id }, { cause: error });
}

/** So that whoever finds a leaked credential can name its lease. The answer does not wait; a drain does. */
export function noteCredential(parts: Pick<Parts, "store" | "background">, lease: Lease, made: Issued): void {
  const sha256 = hash("sha256", made.credential.token.reveal(), "hex");
  parts.background.run("note credential", () => parts.store.leases.noteCredential(lease.id, sha256, lease.expiresAt));
}

async function replayed(plan: Plan, reply: Extract<OpenReply, { readonly outcome: "replayed" }>): Promise<IssuedCredential> {
  const before = recall(reply.replay, reply.lease, reply.task);
  if (before === undefined) throw new StintError("already_issued", "this idempotency key has already brought a credential", { leaseId: reply.lease.id });
  const order: IssueOrder<unknown> = { ...issueOrder(reply.lease, plan, reply.task), ...before };
  const made = await plan.issuer.issue(order, AbortSignal.timeout(ISSUE_DEADLINE_MS));
  const lease = { ...reply.lease, expiresAt: before.expiresAt };
  return { ...answer(plan, lease, reply.task, reply.limitedBy, made, true), scope: before.scope };
}

function answer(plan: Plan, lease: Lease, task: Task, limitedBy: LimitedBy, made: Issued, wasReplayed: boolean): IssuedCredential {
  return {
    lease,
    task,
    grant: lease.grant,
    issuer: lease.issuer,
    credential: made.credential,
    scope: plan.verdict.scope,
    expiresAt: lease.expiresAt,
    limitedBy,
    revocation: lease.revocation,
    deadBy: lease.expiresAt,
    replayed: wasReplayed,
  };
}
