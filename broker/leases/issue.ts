import type { IssueOrder } from "../../domain/credential.ts";
import { StintError } from "../../domain/errors.ts";
import { newId, subjectBits, type LeaseId } from "../../domain/ids.ts";
import type { Lease } from "../../domain/lease.ts";
import type { OpenOrder, OpenReply } from "../../store/api.ts";
import { denialFor, refusalOf, refuse } from "../denials/refusals.ts";
import type { Parts } from "../parts.ts";
import type { IssuedCredential } from "./api.ts";
import { readOptions } from "./options.ts";
import type { TargetCall } from "../targets/door.ts";
import { placeOf } from "../targets/places.ts";
import { wantsStatus } from "../status-list/wanted.ts";
import { choose } from "./choose.ts";
import { scopedKey } from "./idempotency.ts";
import { answer, ISSUE_DEADLINE_MS, issueOrder, makeHere, makeOutside, statusOf } from "./make.ts";
import type { IssueRequest, Plan } from "./plan.ts";
import { recall, toReplay } from "./replay.ts";
import { revocationClassOf } from "./revocation-class.ts";
import { termsOf, termsTooLong } from "./terms.ts";
import { shortestTtl } from "./ttl.ts";

/** How far ahead of our own time an id may lie to come after a mark. */
const MAX_AHEAD_MS = 2_000;

/** Decides, opens the lease, makes the credential. Refusals are recorded and thrown. */
export async function issue(parts: Parts, asked: IssueRequest): Promise<IssuedCredential> {
  parts.gate.require();
  const decided = decideOn(parts, asked);
  const plan = decided instanceof Promise ? await decided : decided;
  const { issuer } = plan.verdict.grant.issue;
  return plan.issuer.computesOnly ? openAndMake(parts, plan) : parts.door.through(issuer, (call) => openAndMake(parts, plan, call));
}

async function openAndMake(parts: Parts, plan: Plan, call?: TargetCall): Promise<IssuedCredential> {
  const reply = await open(parts, plan);
  if (reply.outcome === "replayed") return replayed(parts, plan, reply);
  return call === undefined
    ? makeHere(parts, plan, reply.lease, reply.task, reply.limitedBy)
    : makeOutside(parts, plan, reply.lease, reply.task, reply.limitedBy, call);
}

/** A promise only where it is a refusal, which is written down first. */
function decideOn(parts: Parts, asked: IssueRequest): Plan | Promise<never> {
  const policy = parts.policy();
  const now = parts.now();
  const taskId = asked.task.kind === "task" ? asked.task.id : undefined;
  const { principal, request, audiences, origin } = asked;
  const started = performance.now();
  const verdict = choose(policy, {
    principal,
    request,
    audiences,
    task: { id: taskId, parent: asked.parent },
    posture: parts.posture(),
    now,
    origin,
  });
  parts.meter.decision(verdict.allowed ? "allow" : "deny", (performance.now() - started) / 1000);
  const subject = { principal, grant: request.grant, origin };
  if (!verdict.allowed) return refuse(parts, subject, verdict);
  const { grant } = verdict;
  const issuer = parts.issuers.get(grant.issue.issuer);
  if (issuer === undefined)
    throw new StintError("issuer_unavailable", `the issuer of ${grant.name} is not available`, { retryAfterSeconds: 30 });
  if (asked.bearerOnly === true && issuer.bearer === false)
    throw new StintError(
      "not_a_token",
      `${grant.name} issues no token but a ${issuer.kind} credential: ask for it at /v1/tasks/{id}/credentials with the task token`,
    );
  const tokenType = issuer.tokenType?.(grant.issue.params) ?? "access_token";
  if (asked.tokenType !== undefined && asked.tokenType !== tokenType)
    throw new StintError(
      "invalid_request",
      `requested_token_type: ${grant.name} issues ${tokenType === "jwt" ? "a jwt for a relying party" : "an access token"}`,
    );
  const options = readOptions(issuer, grant.issue.params, request.options);
  if (termsTooLong(termsOf(request, verdict.scope, grant, principal.evidence.key)))
    throw new StintError("invalid_request", "purpose, resource, environment and scope together are too long");
  const evidenceLeftMs = asked.evidenceEndsAt === undefined ? undefined : asked.evidenceEndsAt - now;
  const { ttlMs, limitedBy } = shortestTtl({
    askedMs: request.ttlMs,
    grant: grant.issue,
    taskLeftMs: undefined,
    issuerMaxMs: issuer.maxTtlMs,
    evidenceLeftMs,
  });
  const revocation = revocationClassOf(issuer, grant.issue.audience, policy);
  const { params } = grant.issue;
  const hasStatus = wantsStatus(issuer, grant.issue.audience, policy);
  return { asked, policy, verdict, keyId: issuer.keyId?.(params), issuer, params, options, ttlMs, limitedBy, revocation, hasStatus };
}

type Opened = Extract<OpenReply, { readonly lease: Lease }>;

/** One script. A mark over this very instant, or a key withdrawn elsewhere, is met by coming back once. */
async function open(parts: Parts, planned: Plan): Promise<Opened> {
  let plan = planned;
  const { principal } = plan.asked;
  const bits = subjectBits(principal.subject);
  let at = parts.now();
  for (let tries = 0; tries < 2; tries += 1) {
    const order = orderOf(parts, plan, newId("lease", at, bits));
    const reply = await parts.store.leases.open(order);
    if (reply.outcome === "refused") {
      parts.events.publish("request.denied", {
        denial: order.denial.id,
        code: reply.code,
        grant: order.grant,
        workload: principal.workload,
      });
      throw refusalOf(reply, order.denial.id);
    }
    if (reply.outcome !== "superseded") {
      parts.events.publish(order.audit.action, {
        lease: reply.lease.id,
        task: reply.task.id,
        grant: order.grant,
        workload: principal.workload,
      });
      return reply;
    }
    if (reply.keyWithdrawn) {
      await parts.refreshKeys();
      plan = { ...plan, keyId: plan.issuer.keyId?.(plan.params) };
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
    issuer: grant.issue.issuer,
    keyId: plan.keyId,
    state: issuer.computesOnly ? "active" : "pending",
    revocation: plan.revocation,
    ttlMs: plan.ttlMs,
    limitedBy: plan.limitedBy,
    maxTtlMs: Math.max(plan.ttlMs, Math.min(grant.issue.maxTtlMs, issuer.maxTtlMs)),
    task: asked.task,
    implicitTaskTtlMs: policy.settings.implicitTaskTtlMs,
    limits: grant.limits,
    idempotency: scopedKey(asked),
    replay:
      asked.idempotency === undefined || !issuer.computesOnly
        ? undefined
        : toReplay({ ttlMs: plan.ttlMs, scope: verdict.scope, purpose: request.purpose, params: plan.params }),
    purpose: request.purpose === "" ? undefined : request.purpose,
    terms: termsOf(request, verdict.scope, grant, principal.evidence.key, placeOf(issuer)),
    hasStatus: plan.hasStatus,
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
      issuer: grant.issue.issuer,
      ...(request.purpose === "" ? {} : { purpose: request.purpose }),
      trace_id: origin.traceId,
    },
    denial,
    retentionMs: policy.settings.retentionMs,
  };
}

async function replayed(parts: Parts, plan: Plan, reply: Extract<OpenReply, { readonly outcome: "replayed" }>): Promise<IssuedCredential> {
  const before = recall(reply.replay, reply.lease, reply.task);
  if (before === undefined)
    throw new StintError("already_issued", "this idempotency key has already brought a credential", { leaseId: reply.lease.id });
  const order: IssueOrder<unknown> = {
    ...issueOrder(reply.lease, plan, reply.task),
    ...before,
    status: await statusOf(parts, reply.lease, before.expiresAt),
  };
  const made = await plan.issuer.issue(order, AbortSignal.timeout(ISSUE_DEADLINE_MS));
  const lease = { ...reply.lease, expiresAt: before.expiresAt };
  return { ...answer(plan, lease, reply.task, reply.limitedBy, made, true), scope: before.scope };
}
