import { NOW_INPUT, nowInput, whenCompiler, whole, type WhenContext } from "../../actions/cel.ts";
import type { DecisionInput } from "../../domain/decision.ts";

/** Compiles a `when` of a grant's rule, over the inputs that grants have. */
export const compileWhen = whenCompiler({
  records: {
    request: { grant: "string", purpose: "string", scope: "list<string>", ttl: "int", resource: "string", environment: "string" },
    grant: { name: "string", owner: "string", sensitivity: "string", revocation: "string" },
    task: { id: "string", parent: "string" },
    workload: { subject: "string", name: "string", trust: "string" },
    now: NOW_INPUT,
    network: { ip: "string" },
  },
  variables: { risk: "double" },
  maps: ["claims", "posture"],
});

/** The inputs of an expression. Scope and lifetime are those that would be given: what was asked for, else the grant's own. */
export function whenContext(
  input: DecisionInput,
  grant: {
    readonly name: string;
    readonly owner: string | undefined;
    readonly sensitivity: string;
    readonly revocation: string;
    readonly issue: { readonly scope: readonly string[]; readonly ttlMs: number };
  },
): WhenContext {
  const { principal, request } = input;
  return {
    claims: principal.claims,
    request: {
      grant: grant.name,
      purpose: request.purpose,
      scope: request.scope.length === 0 ? grant.issue.scope : request.scope,
      ttl: whole((request.ttlMs ?? grant.issue.ttlMs) / 1000),
      resource: request.resource,
      environment: request.environment,
    },
    grant: { name: grant.name, owner: grant.owner ?? "", sensitivity: grant.sensitivity, revocation: grant.revocation },
    task: { id: input.task.id, parent: input.task.parent },
    workload: { subject: principal.subject, name: principal.workload, trust: principal.trust },
    now: nowInput(input.now),
    network: { ip: input.network.ip },
    posture: input.posture,
    risk: input.risk,
  };
}
