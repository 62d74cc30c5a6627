import type { DecisionInput, DecisionTrace, DenialView } from "../../domain/decision.ts";
import type { ErrorCode } from "../../domain/errors.ts";
import type { Principal } from "../../domain/principal.ts";
import { decide, type Decision } from "./decide.ts";
import type { Policy } from "./policy.ts";

/** The reasoning of a decision, put so that a person can act on it. For operators only: it says what was wanted. */
export interface Reasoning {
  readonly allowed: boolean;
  readonly code: ErrorCode | undefined;
  /** One sentence: what decided. */
  readonly summary: string;
  readonly trace: DecisionTrace;
  /** The rule that came nearest, and the fewest changes to the claims or the request with which it would allow. */
  readonly nearest:
    | {
        readonly rule: string;
        readonly file: string;
        readonly line: number;
        readonly held: number;
        readonly of: number;
        readonly change: readonly string[];
      }
    | undefined;
}

/** Whether the policy in force would decide a past refusal otherwise. */
export interface Today extends Reasoning {
  readonly policy: string;
  readonly differs: boolean;
  /** The grant looks at more of the request (purpose, time, scope...) than a denial keeps: the answer supposes the least. */
  readonly approximate: boolean;
}

/** What is kept of a refusal that explaining needs; `DenialRecord` of the store fits. */
export interface PastDenial {
  readonly at: number;
  readonly view: DenialView;
  readonly principal: Pick<Principal, "trust" | "subject" | "workload" | "claims"> | undefined;
  readonly grant: string | undefined;
  readonly trace: DecisionTrace | undefined;
}

/** Explains a decision just made. */
export function explainDecision(decision: Decision): Reasoning {
  return reasoning(decision.trace(), decision.allowed ? undefined : decision.view.code);
}

/** Explains a refusal from its record, and says what `policy` makes of the same claims now. Undefined where no decision was made (bad evidence, locks). */
export function explainDenial(
  denial: PastDenial,
  policy: Policy,
  now: number,
): { readonly past: Reasoning | undefined; readonly today: Today | undefined } {
  const past = denial.trace === undefined ? undefined : reasoning(denial.trace, denial.view.code);
  if (denial.principal === undefined || denial.grant === undefined) return { past, today: undefined };
  const decision = decide(policy, supposed(denial.principal, denial.grant, now));
  const today = explainDecision(decision);
  const trace = today.trace;
  const approximate =
    trace.rules.some(({ conditions }) => conditions.some(({ condition }) => condition === "when")) || denial.view.code === "scope_too_wide";
  return { past, today: { ...today, policy: policy.version, differs: today.code !== denial.view.code, approximate } };
}

/** A request with nothing but who asks and for what. */
export function supposed(principal: DecisionInput["principal"], grant: string, now: number): DecisionInput {
  return {
    principal,
    request: { grant, purpose: "", scope: [], ttlMs: undefined, resource: "", environment: "" },
    task: { id: "", parent: "" },
    now,
    network: { ip: "" },
    posture: {},
    risk: 0,
  };
}

/** One request that two policies decide differently. */
export interface Difference {
  readonly input: DecisionInput;
  /** `allow` or the code of the refusal. */
  readonly before: string;
  readonly after: string;
}

/** Requests that `after` would decide otherwise than `before`. */
export function simulate(before: Policy, after: Policy, inputs: Iterable<DecisionInput>): readonly Difference[] {
  const differences: Difference[] = [];
  for (const input of inputs) {
    const [was, becomes] = [outcomeOf(decide(before, input)), outcomeOf(decide(after, input))];
    if (was !== becomes) differences.push({ input, before: was, after: becomes });
  }
  return differences;
}

/** `allow`, or the code of the refusal. */
export const outcomeOf = (decision: Decision): string => (decision.allowed ? "allow" : decision.view.code);

function reasoning(trace: DecisionTrace, code: ErrorCode | undefined): Reasoning {
  const { nearest } = trace;
  const rule = trace.rules.find((one) => one.rule === nearest?.rule);
  return {
    allowed: code === undefined,
    code,
    summary: summaryOf(trace, code),
    trace,
    nearest: nearest === undefined || rule === undefined ? undefined : { ...nearest, file: rule.file, line: rule.line },
  };
}

function summaryOf(trace: DecisionTrace, code: ErrorCode | undefined): string {
  if (!trace.grantExists) return `There is no grant "${trace.grant}".`;
  const allow = trace.rules.find(({ effect, matched }) => effect === "allow" && matched);
  const deny = trace.rules.find(({ effect, matched }) => effect === "deny" && matched);
  if (deny !== undefined) return `${deny.rule} matched, and deny wins.`;
  if (code === "scope_too_wide") return `${allow?.rule ?? "A rule"} matched, but more scope was asked for than the grant has.`;
  if (allow !== undefined)
    return code === undefined
      ? `${allow.rule} matched, and no deny rule did.`
      : `${allow.rule} matched; the refusal came after the decision (${code}).`;
  if (code === undefined) return "No rule matched; audit mode let the request through.";
  if (!trace.rules.some(({ applies, effect }) => applies && effect === "allow")) return "No allow rule is for the caller's trust.";
  if (!trace.candidate) return "The caller is no candidate: no allow rule's anchor conditions hold. It was told nothing about the grant.";
  return `No allow rule matched; ${trace.nearest?.rule ?? "none"} came nearest.`;
}
