import type { IssueOrder, Issued, Issuer } from "../../domain/credential.ts";
import { StintError } from "../../domain/errors.ts";
import { newId, subjectBits } from "../../domain/ids.ts";
import type { Lease, LimitedBy } from "../../domain/lease.ts";
import { keyName } from "../../domain/possession.ts";
import type { Task } from "../../domain/task.ts";
import type { Origin } from "../callers.ts";
import { denialFor, refusalOf, refuse } from "../denials/refusals.ts";
import type { Parts } from "../parts.ts";
import type { Allowed } from "../policy/decide.ts";
import type { TargetCall } from "../targets/door.ts";
import { isAt } from "../targets/places.ts";
import { atTarget } from "../telemetry/metered.ts";
import { wantsStatus } from "../status-list/wanted.ts";
import { proven, spent } from "../tasks/holder.ts";
import type { TaskHolder, TaskTokens } from "../tasks/token.ts";
import { noSuchLease, requireLeaseId } from "./access.ts";
import type { RenewedCredential, LeaseService } from "./api.ts";
import { choose } from "./choose.ts";
import { scopedKey } from "./idempotency.ts";
import { askTarget, ISSUE_DEADLINE_MS, issuerFailed, noteCredential, noteFailure, statusOf } from "./make.ts";
import { termsFrom, type KeptTerms } from "./terms.ts";
import { shortestTtl } from "./ttl.ts";

interface Again {
  readonly lease: Lease;
  readonly holder: TaskHolder;
  readonly terms: KeptTerms;
  readonly verdict: Allowed;
  readonly origin: Origin;
}

/**
 * Moves a lease's end later, never past its maximum or its task: policy is evaluated again on the terms of the first request, and
 * a new token with a new `jti` takes the place of the old one. Only the task token may ask.
 */
export async function renew(parts: Parts, tokens: TaskTokens, request: RenewRequest): Promise<RenewedCredential> {
  parts.gate.require();
  const leaseId = requireLeaseId(request.leaseId);
  const found = await tokens.verify(request.taskToken);
  if (found === undefined)
    throw new StintError("unauthenticated", "renewing needs the task token in Authorization; a credential cannot lengthen its own life");
  const holder = await spent(parts, proven(found, request.origin));
  const lease = await parts.store.leases.get(leaseId);
  const task = await parts.store.tasks.get(holder.taskId);
  if (lease === undefined || task === undefined || lease.task !== holder.taskId) throw noSuchLease();
  const again = await decideAgain(parts, lease, holder, request.origin);
  const issuer = renewingIssuer(parts, lease);
  const work = (call?: TargetCall): Promise<RenewedCredential> => madeLonger(parts, again, issuer, task, request, call);
  return issuer.computesOnly ? work() : parts.door.through(lease.issuer, work);
}

/** The record first: should the target then fail, the credential dies at its old end, before its lease. */
async function madeLonger(
  parts: Parts,
  again: Again,
  issuer: Issuer,
  task: Task,
  request: RenewRequest,
  call: TargetCall | undefined,
): Promise<RenewedCredential> {
  const { lease: longer, limitedBy, jti } = await lengthen(parts, again, issuer, request);
  const signal = AbortSignal.timeout(ISSUE_DEADLINE_MS);
  const order = { ...orderFor(parts, longer, again, jti), status: await statusOf(parts, longer, longer.expiresAt) };
  const made = call === undefined ? await issuer.issue(order, signal) : await renewedAtTarget(parts, longer, call, issuer, order);
  if (made !== undefined) noteCredential(parts, longer, made);
  const { grant, issuer: kind, expiresAt, revocation } = longer;
  return {
    lease: longer,
    task,
    grant,
    issuer: kind,
    credential: made?.credential ?? { type: issuer.kind },
    boundTo: made?.boundTo,
    scope: again.verdict.scope,
    expiresAt,
    limitedBy,
    revocation,
    deadBy: expiresAt,
    replayed: false,
  };
}

async function renewedAtTarget(
  parts: Parts,
  lease: Lease,
  call: TargetCall,
  issuer: Issuer,
  order: IssueOrder<unknown>,
): Promise<Issued | undefined> {
  const work = async (): Promise<Issued | undefined> => issuer.renew?.(order, AbortSignal.timeout(ISSUE_DEADLINE_MS));
  try {
    return await askTarget(call, () => atTarget(parts.meter, lease.issuer, "make", work));
  } catch (error) {
    if (error instanceof StintError) throw error;
    noteFailure(parts, lease, error);
    throw issuerFailed(lease, error, "lengthen the credential; it may end when it would have");
  }
}

type RenewRequest = Parameters<LeaseService["renew"]>[0];

function renewingIssuer(parts: Parts, lease: Lease): Issuer {
  const issuer = parts.issuers.get(lease.issuer);
  if (issuer === undefined)
    throw new StintError("issuer_unavailable", `the issuer of ${lease.grant} is not available`, { retryAfterSeconds: 30 });
  if (!isAt(lease, issuer))
    throw new StintError("not_renewable", `${lease.issuer} leads to another place by now; release this lease and ask for another`, {
      leaseId: lease.id,
    });
  if (issuer.computesOnly || issuer.renew !== undefined) return issuer;
  throw new StintError("not_renewable", `credentials of ${lease.issuer} cannot be renewed; release this lease and ask for another`, {
    leaseId: lease.id,
  });
}

/** One script: the lease ends later, or the refusal is recorded and thrown. */
async function lengthen(
  parts: Parts,
  again: Again,
  issuer: Issuer,
  { ttlMs: askedMs, idempotency }: RenewRequest,
): Promise<{ readonly lease: Lease; readonly limitedBy: LimitedBy; readonly jti: string }> {
  const { lease, holder, verdict, origin } = again;
  const { issue } = verdict.grant;
  const { ttlMs, limitedBy } = shortestTtl({
    askedMs,
    grant: issue,
    taskLeftMs: undefined,
    issuerMaxMs: issuer.maxTtlMs,
    evidenceLeftMs: undefined,
  });
  const denial = denialFor({ principal: holder.principal, grant: lease.grant, origin }, parts.now());
  const { version, settings } = parts.policy();
  const { subject, workload, trust, grant } = lease;
  const audit = {
    action: "lease.renewed" as const,
    principal: subject,
    decision: "allow" as const,
    rule: verdict.rule,
    policy: version,
    trust,
    workload,
    subject,
    grant,
    issuer: lease.issuer,
    trace_id: origin.traceId,
  };
  const reply = await parts.store.leases.renew({
    id: lease.id,
    taskId: holder.taskId,
    keyId: issuer.keyId?.(issue.params),
    jti: newId("lease", parts.now(), subjectBits(lease.subject)),
    ttlMs,
    limitedBy,
    hasStatus: wantsStatus(issuer, issue.audience, parts.policy()),
    idempotency: scopedKey({ idempotency, principal: holder.principal, origin }, [lease.id]),
    audit,
    denial,
    retentionMs: settings.retentionMs,
  });
  if (reply.outcome === "refused") throw refusalOf(reply, denial.id);
  return reply;
}

async function decideAgain(parts: Parts, lease: Lease, holder: TaskHolder, origin: Origin): Promise<Again> {
  const policy = parts.policy();
  const terms = termsFrom(lease, policy.grants.get(lease.grant));
  if (terms === undefined) throw new StintError("not_renewable", "the terms of this lease cannot be read", { leaseId: lease.id });
  requireSameKey(terms, holder, lease);
  const { key: _bound, ...asked } = terms;
  const request = { grant: lease.grant, ttlMs: undefined, ...asked };
  const verdict = choose(policy, {
    principal: holder.principal,
    request,
    audiences: [],
    task: { id: lease.task, parent: holder.parent },
    posture: parts.posture(),
    now: parts.now(),
    origin,
  });
  if (!verdict.allowed) return refuse(parts, { principal: holder.principal, grant: lease.grant, origin }, verdict);
  // A grant that issues something else by now is another grant: the old lease runs out as it is.
  if (verdict.grant.issue.issuer !== lease.issuer)
    throw new StintError("not_renewable", "the grant issues something else by now; release this lease and ask again", {
      leaseId: lease.id,
    });
  return { lease, holder, terms, verdict, origin };
}

function orderFor(parts: Parts, lease: Lease, again: Again, jti: string): IssueOrder<unknown> {
  const now = parts.now();
  return {
    leaseId: lease.id,
    taskId: lease.task,
    jti,
    subject: lease.subject,
    workload: lease.workload,
    trust: lease.trust,
    grant: lease.grant,
    purpose: again.terms.purpose === "" ? undefined : again.terms.purpose,
    scope: again.verdict.scope,
    issuedAt: now,
    expiresAt: lease.expiresAt,
    key: again.holder.principal.evidence.key,
    params: again.verdict.grant.issue.params,
    options: {},
  };
}

/** A lease that was issued to a key is renewed for that key alone, whatever other task tokens its task may have. */
function requireSameKey(terms: KeptTerms, { principal }: TaskHolder, lease: Lease): void {
  const { key } = principal.evidence;
  if (terms.key === undefined || (key !== undefined && keyName(key) === terms.key)) return;
  throw new StintError("binding_mismatch", "the credential of this lease is bound to another key than the request proves", {
    leaseId: lease.id,
  });
}
