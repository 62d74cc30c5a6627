import type { ConditionTrace, DecisionInput, DecisionTrace, RuleTrace } from "../../domain/decision.ts";
import type { WhenContext } from "../../actions/cel.ts";
import { whenContext } from "./when.ts";
import { CompiledPolicy } from "./compile.ts";
import { valueOf } from "./conditions.ts";
import type { Policy } from "./policy.ts";
import type { GrantRules, Rule } from "./rules.ts";
import { shortened } from "./shown.ts";

/** Longest value of a claim that a trace keeps, in characters of JSON. */
const MAX_KEPT = 1024;

/** The whole reasoning of one decision: every rule of the grant with every condition, tried without stopping at the first failure. */
export function traceOf(policy: Policy, input: DecisionInput): DecisionTrace {
  const rules = policy instanceof CompiledPolicy ? policy.rules.get(input.request.grant) : undefined;
  const head = { grant: input.request.grant, policy: policy.version };
  if (rules === undefined) return { ...head, grantExists: false, candidate: false, rules: [] };
  const mine = rules.byTrust.get(input.principal.trust);
  const compiled = new Map([...(mine?.allow ?? []), ...(mine?.deny ?? [])].map((rule) => [rule.id, rule]));
  const context = whenContext(input, rules.grant);
  const traces = rules.written.map((written): RuleTrace => {
    const rule = compiled.get(written.id);
    const base = { rule: written.id, effect: written.effect, file: written.file, line: written.line };
    return rule === undefined
      ? { ...base, matched: false, applies: false, conditions: [] }
      : { ...base, ...tryRule(rule, input, context), applies: true };
  });
  const nearest = nearestOf(traces, mine?.allow ?? [], input, rules);
  return {
    ...head,
    grantExists: true,
    candidate: traces.some((trace) => isCandidacy(trace)),
    rules: traces,
    ...(nearest === undefined ? {} : { nearest }),
  };
}

function tryRule(
  rule: Rule,
  input: DecisionInput,
  context: WhenContext,
): { readonly matched: boolean; readonly conditions: readonly ConditionTrace[] } {
  const conditions: ConditionTrace[] = rule.conditions.map((condition) => {
    const value = valueOf(input.principal.claims, condition);
    return {
      condition: condition.name,
      held: condition.test(value),
      wanted: condition.wanted,
      got: value === undefined ? undefined : shortened(value, MAX_KEPT),
      anchor: condition.anchor,
      ...(value === undefined ? { note: "absent" } : {}),
    };
  });
  if (rule.when !== undefined) {
    const held = rule.when.holds(context);
    const note = held === undefined ? { note: "erred or met a missing value" } : {};
    conditions.push({
      condition: "when",
      held: held ?? rule.effect === "deny",
      wanted: rule.when.source,
      got: undefined,
      anchor: false,
      ...note,
    });
  }
  return { matched: conditions.every(({ held }) => held), conditions };
}

function isCandidacy(trace: RuleTrace): boolean {
  const anchors = trace.conditions.filter(({ anchor }) => anchor);
  return trace.effect === "allow" && anchors.length > 0 && anchors.every(({ held }) => held);
}

/** The allow rule with the fewest failures (anchors weigh more), and what would have to be different for it and the deny rules. */
function nearestOf(
  traces: readonly RuleTrace[],
  allow: readonly Rule[],
  input: DecisionInput,
  rules: GrantRules,
): DecisionTrace["nearest"] {
  const weight = (trace: RuleTrace): number => trace.conditions.reduce((sum, { held, anchor }) => sum + (held ? 0 : anchor ? 10 : 1), 0);
  const best = traces.filter(({ effect, applies }) => effect === "allow" && applies).toSorted((a, b) => weight(a) - weight(b))[0];
  if (best === undefined || allow.length === 0) return undefined;
  const held = best.conditions.filter((condition) => condition.held).length;
  const change = best.conditions.filter((condition) => !condition.held).map(changeText);
  for (const trace of traces)
    if (trace.effect === "deny" && trace.matched)
      change.push(`${trace.rule} must not match: ${trace.conditions.map(({ condition }) => condition).join(", ") || "its trust"}`);
  const beyond = input.request.scope.filter((scope) => !rules.grant.issue.scope.includes(scope));
  if (beyond.length > 0) change.push(`ask for less scope: without ${beyond.join(" ")}`);
  return { rule: best.rule, held, of: best.conditions.length, change };
}

function changeText({ condition, wanted, got, note }: ConditionTrace): string {
  if (condition === "when") return `when must hold: ${wanted}`;
  return `${condition}: ${note === "absent" ? "absent" : JSON.stringify(got)} must be ${wanted}`;
}
