import type { ActionDecision } from "../actions/decide.ts";
import { StintError, type Problem } from "../domain/errors.ts";
import type { DecisionInput } from "../domain/decision.ts";
import type { DenialRecord } from "../store/api.ts";
import { decideAgain } from "./authorize/service.ts";
import type { GrantRequest, Origin } from "./callers.ts";
import { denialOf } from "./denials/service.ts";
import type { Identified, Identify } from "./identify.ts";
import { spendProof } from "./dpop/possession.ts";
import { inputFor } from "./leases/choose.ts";
import { shortestTtl } from "./leases/ttl.ts";
import type { OperatorService } from "./operators.ts";
import type { Parts } from "./parts.ts";
import type { CheckAnswer, Explanation, PolicyService, Simulation, SupposedRequest } from "./policy/api.ts";
import { decide, type Decision } from "./policy/decide.ts";
import type { Policy } from "./policy/policy.ts";

/** Cases one simulation takes, and leases of a vanished grant that it counts. */
const MAX_CASES = 1_000;
const MAX_COUNTED = 1_000;

/** Compiles documents that somebody is thinking of. */
export type CompileDocuments = (documents: readonly { readonly file: string; readonly text: string }[]) => {
  readonly policy: Policy | undefined;
  readonly problems: readonly Problem[];
};

/** Questions about policy. None of them issues, spends or changes anything. */
export function createPolicyService(
  parts: Parts,
  identify: Identify,
  operators: Pick<OperatorService, "authenticate">,
  compile: CompileDocuments,
): PolicyService {
  return {
    async whoami(token, origin) {
      const operator = operators.authenticate(token);
      if (operator !== undefined) return { kind: "operator", operator };
      const identified = await identify.any(token, origin);
      const { principal } = identified;
      await spendProof(parts, principal);
      const { trust, subject, workload, taskId, taskValue, claims, evidence } = principal;
      return {
        kind: "workload",
        trust,
        subject,
        workload,
        task: taskId,
        taskValue,
        claims,
        evidenceExpiresAt: evidence.expiresAt,
        grants: reachable(parts, identified, origin),
      };
    },

    async check(token, request, origin) {
      const identified = await identify.any(token, origin);
      await spendProof(parts, identified.principal);
      return checkAnswer(parts, request, decide(parts.policy(), questionOf(parts, identified, request, origin)));
    },

    async explain(what) {
      if ("supposed" in what) {
        const decision = decide(parts.policy(), supposedInput(parts, what.supposed));
        return { ...reasoned(decision), denial: undefined, today: undefined };
      }
      return explainDenial(parts, await denialOf(parts, what.denial));
    },

    simulate: (request) => simulate(parts, compile, request),
  };
}

const reasoned = (decision: Decision | ActionDecision): Pick<Explanation, "allowed" | "code" | "trace"> => ({
  allowed: decision.allowed,
  code: decision.allowed ? undefined : decision.view.code,
  trace: decision.trace(),
});

function questionOf(
  parts: Parts,
  { principal, parent }: Identified,
  request: GrantRequest & { readonly grant: string },
  origin: Origin,
): DecisionInput {
  return inputFor(
    { principal, request, audiences: [], task: { id: principal.taskId, parent }, posture: parts.posture(), now: parts.now(), origin },
    request.grant,
  );
}

function reachable(parts: Parts, identified: Identified, origin: Origin): readonly string[] {
  const policy = parts.policy();
  const bare = { scope: [], ttlMs: undefined, purpose: "", environment: "", resource: "" };
  return [...policy.grants.keys()].filter((grant) => decide(policy, questionOf(parts, identified, { ...bare, grant }, origin)).allowed);
}

function checkAnswer(parts: Parts, request: GrantRequest & { readonly grant: string }, decision: Decision): CheckAnswer {
  const { grant } = request;
  if (!decision.allowed) {
    const { code, message, failedClaims, hint } = decision.view;
    return { allowed: false, grant, code, message, failedClaims, hint, scope: undefined, ttlMs: undefined, limitedBy: undefined };
  }
  const issuer = parts.issuers.get(decision.grant.issue.issuer);
  const limit = shortestTtl({
    askedMs: request.ttlMs,
    grant: decision.grant.issue,
    taskLeftMs: undefined,
    issuerMaxMs: issuer?.maxTtlMs ?? decision.maxTtlMs,
    evidenceLeftMs: undefined,
  });
  return {
    allowed: true,
    grant,
    code: undefined,
    message: undefined,
    failedClaims: undefined,
    hint: undefined,
    scope: decision.scope,
    ...limit,
  };
}

function supposedInput(parts: Parts, { trust, claims, grant, ip, ...request }: SupposedRequest): DecisionInput {
  const known = parts.policy().trusts.get(trust);
  if (known === undefined) throw new StintError("invalid_request", `there is no trust called ${trust}`);
  const subject = `${trust}:${known.renderId(claims) ?? ""}`;
  const principal = { trust, subject, workload: known.renderWorkload(claims) ?? "", claims };
  const { scope, ttlMs, purpose, environment, resource } = request;
  return {
    principal,
    request: { grant, scope, ttlMs, purpose, environment, resource },
    task: { id: "", parent: "" },
    now: parts.now(),
    network: { ip },
    posture: parts.posture(),
    risk: 0,
  };
}

/** A refused request as far as its record tells: scope and purpose are not kept, and count as not asked for. */
function deniedInput(parts: Parts, denial: DenialRecord): DecisionInput | undefined {
  if (denial.principal === undefined || denial.grant === undefined || denial.action !== undefined) return undefined;
  const request = { grant: denial.grant, scope: [], ttlMs: undefined, purpose: "", environment: "", resource: "" };
  return {
    principal: denial.principal,
    request,
    task: { id: "", parent: "" },
    now: parts.now(),
    network: { ip: "" },
    posture: parts.posture(),
    risk: 0,
  };
}

function explainDenial(parts: Parts, denial: DenialRecord): Explanation {
  const { action, principal } = denial;
  const again =
    action === undefined || principal === undefined ? undefined : decideAgain(parts.policy(), action, principal.claims, parts.now());
  const input = action === undefined ? deniedInput(parts, denial) : undefined;
  const today = again === undefined ? (input === undefined ? undefined : reasoned(decide(parts.policy(), input))) : reasoned(again);
  const none = { grant: denial.grant ?? "", grantExists: false, candidate: false, policy: "", rules: [] };
  return { allowed: false, code: denial.view.code, trace: denial.trace ?? today?.trace ?? none, denial, today };
}

async function simulate(parts: Parts, compile: CompileDocuments, request: Parameters<PolicyService["simulate"]>[0]): Promise<Simulation> {
  if (request.denials.length + request.supposed.length > MAX_CASES)
    throw new StintError("invalid_request", `a simulation takes at most ${MAX_CASES} cases`);
  const { policy, problems } = compile(request.documents);
  if (policy === undefined) return { version: "", problems, cases: 0, differences: [], leasesOfVanishedGrants: 0 };
  const cases = request.supposed.map((supposed) => ({
    input: supposedInput(parts, supposed),
    denial: undefined as DenialRecord["id"] | undefined,
  }));
  for (const id of request.denials) {
    const denial = await denialOf(parts, id);
    const input = deniedInput(parts, denial);
    if (input !== undefined) cases.push({ input, denial: denial.id });
  }
  const before = parts.policy();
  const differences = cases.flatMap(({ input, denial }) => {
    const [was, would] = [told(decide(before, input)), told(decide(policy, input))];
    return was === would ? [] : [{ grant: input.request.grant, workload: input.principal.workload, denial, before: was, after: would }];
  });
  const vanished = [...before.grants.keys()].filter((grant) => !policy.grants.has(grant));
  return {
    version: policy.version,
    problems,
    cases: cases.length,
    differences,
    leasesOfVanishedGrants: await countLeases(parts, vanished),
  };
}

const told = (decision: Decision): string => (decision.allowed ? "allow" : decision.view.code);

async function countLeases(parts: Parts, grants: readonly string[]): Promise<number> {
  let count = 0;
  for (const grant of grants) {
    let cursor: string | undefined;
    do {
      const page = await parts.store.leases.list({ grant }, cursor, 100);
      count += page.items.filter(({ state }) => state !== "revoked" && state !== "forced").length;
      cursor = page.nextCursor;
    } while (cursor !== undefined && count < MAX_COUNTED);
  }
  return count;
}
