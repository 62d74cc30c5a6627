import type { AuditFacts } from "../../domain/audit-event.ts";
import type { DecisionTrace, DenialView } from "../../domain/decision.ts";
import { StintError, type ErrorCode, type ErrorFacts } from "../../domain/errors.ts";
import { newId, subjectBits, type DenialId, type TaskId } from "../../domain/ids.ts";
import type { Principal } from "../../domain/principal.ts";
import type { DenialRecord, Refused } from "../../store/api.ts";
import type { Origin } from "../callers.ts";
import type { Parts } from "../parts.ts";
import type { Refused as RefusedByPolicy } from "../policy/decide.ts";

/** What was asked, where a refusal names it. */
export interface Asked {
  readonly principal: Principal;
  readonly grant: string | undefined;
  readonly origin: Origin;
}

const PENDING_VIEW: DenialView = { code: "not_permitted", message: "refused" };

/** The denial that a script writes if it refuses; the script fills in the code it found. */
export function denialFor(asked: Asked, now: number, view: DenialView = PENDING_VIEW, trace?: DecisionTrace): DenialRecord {
  const { trust, subject, workload, claims } = asked.principal;
  return {
    id: newId("den", now, subjectBits(subject)),
    at: now,
    view,
    principal: { trust, subject, workload, claims },
    grant: asked.grant,
    trace,
    route: asked.origin.route,
    traceId: asked.origin.traceId,
  };
}

/** Refuses by decision: records it with its trace, then throws what the caller may know. */
export async function refuse(
  parts: Pick<Parts, "store" | "policy" | "now" | "events">,
  asked: Asked,
  refused: RefusedByPolicy,
): Promise<never> {
  const { view } = refused;
  const denial = denialFor(asked, parts.now(), view, refused.trace());
  const rule = refused.rule === undefined ? {} : { rule: refused.rule };
  const audit: AuditFacts = { ...deniedFacts(asked, denial.id, parts.policy().version), ...rule, code: view.code };
  const outcome = await parts.store.denials.record(denial, audit, parts.policy().settings.retentionMs, asked.principal.evidence);
  const told = outcome === "recorded" ? view : INSTEAD[outcome];
  parts.events.publish("request.denied", { denial: denial.id, code: told.code, grant: asked.grant, workload: asked.principal.workload });
  const candidates = refused.candidates === undefined || outcome !== "recorded" ? {} : { candidates: refused.candidates };
  throw new StintError(told.code, told.message, { denialId: denial.id, ...factsOf(told), ...candidates });
}

/** The audit facts of a refusal, for scripts that refuse and for ours. */
export function deniedFacts(asked: Asked, denial: DenialId, policyVersion: string, task?: TaskId): AuditFacts {
  return {
    action: "request.denied",
    principal: asked.principal.subject,
    decision: "deny",
    policy: policyVersion,
    trust: asked.principal.trust,
    workload: asked.principal.workload,
    subject: asked.principal.subject,
    ...(asked.grant === undefined ? {} : { grant: asked.grant }),
    ...(task === undefined ? {} : { task }),
    denial,
    route: asked.origin.route,
    trace_id: asked.origin.traceId,
  };
}

function factsOf(view: DenialView): ErrorFacts {
  return {
    ...(view.hint === undefined ? {} : { hint: view.hint }),
    ...(view.failedClaims === undefined ? {} : { failedClaims: view.failedClaims }),
    ...(view.yours === undefined ? {} : { yours: view.yours }),
  };
}

/** A refusal that the store found, as its caller reads it. Dependencies are no denials: they carry no id. */
export function refusalOf(reply: Refused, denialId: DenialId): StintError {
  const dependency = reply.code === "on_hold" || reply.code === "clock_disagrees" || reply.code === "audit_unavailable";
  const facts: ErrorFacts = {
    ...(dependency ? {} : { denialId }),
    ...(reply.retryAfterMs === undefined ? {} : { retryAfterSeconds: Math.max(1, Math.ceil(reply.retryAfterMs / 1000)) }),
    ...(reply.leaseId === undefined ? {} : { leaseId: reply.leaseId }),
    ...(HINTS[reply.code] === undefined ? {} : { hint: HINTS[reply.code] }),
  };
  const live = reply.live === undefined ? "" : `; ${reply.live} are live`;
  return new StintError(reply.code, (reply.message ?? messageOf(reply.code)) + live, facts);
}

const HINTS: Partial<Readonly<Record<ErrorCode, string>>> = {
  evidence_spent: "ask the identity provider for a fresh token, or use the task token of the first request",
  limit_active: "complete tasks that have finished; their credentials count until then",
  task_ended: "a task that has ended gives no credentials; a new run has a new task",
  already_issued: "the credential was handed out once and is not kept; release that lease and ask again with another key",
};

const MESSAGES: Partial<Readonly<Record<ErrorCode, string>>> = {
  not_permitted: "not permitted",
  evidence_spent: "this identity token has been used up",
  binding_mismatch: "this identity token has been used with a key, and is good only with a proof of that key",
  invalid_dpop_proof: "the DPoP proof has been used before: make a new one for every request",
  locked: "locked by an operator",
  task_ended: "the task has ended",
  limit_active: "too many live credentials for this grant",
  limit_rate: "too many credentials of this grant within the hour",
  in_flight: "the first request with this idempotency key is still being answered",
  idempotency_mismatch: "this idempotency key was used for a different request",
  already_issued: "this idempotency key has already brought a credential",
  lease_ended: "the lease has ended",
  not_renewable: "the lease cannot be renewed any further",
  not_found: "not found",
  on_hold: "the broker is on hold: nothing is issued until an admin clears it",
  clock_disagrees: "the clocks of broker and store disagree; nothing is issued until they agree",
  audit_unavailable: "the audit trail cannot be written; nothing is issued until it can",
};

/** What is told in place of the decision to whoever may not use the evidence any more. */
const INSTEAD: Readonly<Record<"spent" | "other_key", DenialView>> = {
  spent: { code: "evidence_spent", message: "this identity token has been used up" },
  other_key: {
    code: "binding_mismatch",
    message: "this identity token has been used with a key, and is good only with a proof of that key",
  },
};

/** What a caller reads about a code that the store or the broker itself found. */
export const messageOf = (code: ErrorCode): string => MESSAGES[code] ?? "refused";
