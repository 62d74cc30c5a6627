import type { DecisionInput, DenialView } from "../../domain/decision.ts";
import type { TaskId } from "../../domain/ids.ts";
import type { Principal } from "../../domain/principal.ts";
import type { Decide, Verdict } from "../parts.ts";
import type { Policy } from "../policy/policy.ts";
import type { GrantRequest, Origin } from "../services.ts";

/** Everything that a decision about a request is made of. */
export interface Question {
  readonly principal: Principal;
  readonly request: GrantRequest;
  /** Asked audiences; each must be the grant's own. Empty: the grant must be named. */
  readonly audiences: readonly string[];
  readonly task: { readonly id: TaskId | undefined; readonly parent: TaskId | undefined };
  readonly now: number;
  readonly origin: Origin;
}

/** Grants that one question fits: too many to choose from. */
export interface Ambiguous {
  readonly allowed: false;
  readonly ambiguous: readonly string[];
}

/** The input of `decide` for one grant. */
export function inputFor(question: Question, grant: string): DecisionInput {
  const { principal, request, task } = question;
  return {
    principal: { trust: principal.trust, subject: principal.subject, workload: principal.workload, claims: principal.claims },
    request: { grant, purpose: request.purpose, scope: request.scope, ttlMs: request.ttlMs, resource: request.resource, environment: request.environment },
    task: { id: task.id ?? "", parent: task.parent ?? "" },
    now: question.now,
    network: { ip: question.origin.ip },
    posture: {},
    risk: 0,
  };
}

/**
 * The verdict on a request. Without a named grant: of the grants of the asked audience, the one that the decision allows; several
 * are ambiguous, none is denied (CONTRACT section 4, Exchange). An audience nobody issues for is decided like an unknown grant.
 */
export function choose(policy: Policy, decide: Decide, question: Question): Verdict | Ambiguous {
  const { grant } = question.request;
  if (grant !== undefined) return requireAudience(decide(policy, inputFor(question, grant)), question.audiences);
  const verdicts: Verdict[] = [];
  for (const candidate of policy.grants.values()) {
    if (candidate.issue.audience === undefined || question.audiences.length === 0) continue;
    if (question.audiences.every((audience) => audience === candidate.issue.audience)) verdicts.push(decide(policy, inputFor(question, candidate.name)));
  }
  const allowed = verdicts.filter((verdict) => verdict.allowed);
  if (allowed.length > 1) return { allowed: false, ambiguous: allowed.map((verdict) => verdict.grant.name).sort() };
  const telling = verdicts.find((verdict) => !verdict.allowed && verdict.view.code !== "not_permitted");
  return allowed[0] ?? telling ?? verdicts[0] ?? decide(policy, inputFor(question, ""));
}

/** Whoever may have the grant may know for whom it is; everyone else was refused before. */
function requireAudience(verdict: Verdict, audiences: readonly string[]): Verdict {
  if (!verdict.allowed) return verdict;
  const own = verdict.grant.issue.audience;
  const foreign = audiences.find((audience) => audience !== own);
  if (foreign === undefined) return verdict;
  const view: DenialView = {
    code: "not_permitted",
    message: `the grant ${verdict.grant.name} is not for the audience that was asked for`,
    hint: own === undefined ? "leave out audience and resource" : `leave out audience and resource, or ask for ${own}`,
  };
  return { allowed: false, view, trace: undefined };
}
