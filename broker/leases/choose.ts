import type { DecisionInput, DenialView } from "../../domain/decision.ts";
import type { TaskId } from "../../domain/ids.ts";
import type { Principal } from "../../domain/principal.ts";
import type { GrantRequest, Origin } from "../callers.ts";
import { decide, decideByAudience, type Decision } from "../policy/decide.ts";
import type { Policy } from "../policy/policy.ts";

/** Everything that a decision about a request is made of. */
export interface Question {
  readonly principal: Principal;
  readonly request: GrantRequest;
  /** Asked audiences; each must be the grant's own. Empty: the grant must be named. */
  readonly audiences: readonly string[];
  readonly task: { readonly id: TaskId | undefined; readonly parent: TaskId | undefined };
  /** What has been reported of the places and machines involved. */
  readonly posture: DecisionInput["posture"];
  readonly now: number;
  readonly origin: Origin;
}

/** The input of `decide` for one grant. */
export function inputFor(question: Question, grant: string): DecisionInput {
  const { principal, request, task } = question;
  return {
    principal: { trust: principal.trust, subject: principal.subject, workload: principal.workload, claims: principal.claims },
    request: {
      grant,
      purpose: request.purpose,
      scope: request.scope,
      ttlMs: request.ttlMs,
      resource: request.resource,
      environment: request.environment,
    },
    task: { id: task.id ?? "", parent: task.parent ?? "" },
    now: question.now,
    network: { ip: question.origin.ip },
    posture: question.posture,
    risk: 0,
  };
}

/**
 * The decision on a request: about the grant it names, else about the grants of the audience it asks for. Audiences that differ
 * can be no single grant's, and are decided like one that does not exist.
 */
export function choose(policy: Policy, question: Question): Decision {
  const { grant } = question.request;
  if (grant !== undefined) return requireAudience(decide(policy, inputFor(question, grant)), question.audiences);
  const [audience, ...others] = new Set(question.audiences);
  if (audience === undefined || others.length > 0) return decide(policy, inputFor(question, ""));
  return decideByAudience(policy, audience, inputFor(question, ""));
}

/** Whoever may have the grant may know for whom it is; everyone else was refused before. */
function requireAudience(decision: Decision, audiences: readonly string[]): Decision {
  if (!decision.allowed) return decision;
  const own = decision.grant.issue.audience;
  if (audiences.every((audience) => audience === own)) return decision;
  const view: DenialView = {
    code: "not_permitted",
    message: `the grant ${decision.grant.name} is not for the audience that was asked for`,
    hint: own === undefined ? "leave out audience and resource" : `leave out audience and resource, or ask for ${own}`,
  };
  return { allowed: false, view, rule: decision.rule, trace: decision.trace };
}
