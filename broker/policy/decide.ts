import type { DecisionInput, DecisionTrace, DenialView } from "../../domain/decision.ts";
import type { LimitedBy } from "../../domain/lease.ts";
import type { Claims } from "../../domain/principal.ts";
import type { WhenContext } from "../../actions/cel.ts";
import { whenContext } from "./when.ts";
import { CompiledPolicy } from "./compile.ts";
import { valueOf } from "./conditions.ts";
import { claimsDenied, conditionNotMet, NOT_PERMITTED, scopeTooWide, targetAmbiguous } from "./denial.ts";
import type { Grant, Policy } from "./policy.ts";
import type { GrantRules, Rule, TrustRules } from "./rules.ts";
import { traceOf } from "./trace.ts";

/** What was decided. `trace()` works out the whole reasoning, for whoever may see it; a decision that nobody asks about costs none of it. */
export type Decision = Allowed | Refused;
export interface Allowed {
  readonly allowed: true;
  readonly grant: Grant;
  /** The rule that allowed it, `deploy-prod.allow[0]`; in audit mode the one that came nearest. */
  readonly rule: string;
  readonly scope: readonly string[];
  /** Milliseconds, before task, issuer and evidence shorten it; and which limit gave it. */
  readonly ttlMs: number;
  readonly maxTtlMs: number;
  readonly limitedBy: Extract<LimitedBy, "asked" | "grant">;
  /** `mode: audit` let it through: the refusal that enforcing would have given. */
  readonly shadowed?: DenialView;
  readonly trace: () => DecisionTrace;
}
export interface Refused {
  readonly allowed: false;
  readonly view: DenialView;
  /** With `target_ambiguous`: the grants to choose from. */
  readonly candidates?: readonly string[];
  /** The deny rule, or the nearest allow rule, for the audit record; absent where the caller is no candidate. */
  readonly rule?: string;
  readonly trace: () => DecisionTrace;
}

/**
 * Decides one request: some allow rule of the caller's trust must hold, no deny rule may (deny wins), the asked scope must be within
 * the grant's. Pure: no clock, network or store; never throws. A caller who is no candidate is refused in the same words, and
 * after the same kind of work, as for a grant that does not exist.
 */
export function decide(policy: Policy, input: DecisionInput): Decision {
  const compiled = policy instanceof CompiledPolicy ? policy : undefined;
  const rules = compiled?.rules.get(input.request.grant);
  const mine = rules?.byTrust.get(input.principal.trust);
  if (rules === undefined || mine === undefined) {
    tryAnchors(compiled?.decoys.get(input.principal.trust), input.principal.claims);
    return { allowed: false, view: NOT_PERMITTED, trace: () => traceOf(policy, input) };
  }
  const context = new LazyContext(input, rules.grant);
  const { claims } = input.principal;
  const allow = mine.allow.find((rule) => matches(rule, claims, context));
  const deny = allow === undefined && !isCandidate(mine, claims) ? undefined : mine.deny.find((rule) => matches(rule, claims, context));
  if (allow === undefined || deny !== undefined) return refuse(policy, input, rules, mine, deny, context);
  return grantIt(policy, input, rules.grant, allow.id, undefined);
}

/** The inputs of `when`, made when the first expression needs them. */
class LazyContext {
  readonly #input: DecisionInput;
  readonly #grant: Grant;
  #made: WhenContext | undefined;
  constructor(input: DecisionInput, grant: Grant) {
    this.#input = input;
    this.#grant = grant;
  }
  get(): WhenContext {
    return (this.#made ??= whenContext(this.#input, this.#grant));
  }
}

/** Every condition holds, and so does `when`. One that errs does not match in allow, and does in deny. */
function matches(rule: Rule, claims: Claims, context: LazyContext): boolean {
  const { conditions } = rule;
  for (const condition of conditions) if (!condition.test(valueOf(claims, condition))) return false;
  return rule.when === undefined || (rule.when.holds(context.get()) ?? rule.effect === "deny");
}

function anchorsHold(rule: Rule, claims: Claims): boolean {
  for (let index = 0; index < rule.anchors; index++) {
    const condition = rule.conditions[index];
    if (condition === undefined || !condition.test(valueOf(claims, condition))) return false;
  }
  return rule.anchors > 0;
}

const isCandidate = (rules: TrustRules, claims: Claims): boolean => rules.allow.some((rule) => anchorsHold(rule, claims));

/** The work that a grant's rules would have cost, for its own sake. */
function tryAnchors(rules: TrustRules | undefined, claims: Claims): void {
  if (rules !== undefined) isCandidate(rules, claims);
}

function refuse(
  policy: Policy,
  input: DecisionInput,
  rules: GrantRules,
  mine: TrustRules,
  deny: Rule | undefined,
  context: LazyContext,
): Decision {
  const { claims, trust } = input.principal;
  const trace = (): DecisionTrace => traceOf(policy, input);
  if (!isCandidate(mine, claims)) return { allowed: false, view: NOT_PERMITTED, trace, ...(deny === undefined ? {} : { rule: deny.id }) };
  const preset = policy.trusts.get(trust)?.preset ?? "generic";
  if (deny !== undefined) return { allowed: false, view: claimsDenied(deny, deny.conditions, claims, preset), rule: deny.id, trace };
  const nearest = nearestCandidate(mine, claims, context);
  if (nearest === undefined) return { allowed: false, view: NOT_PERMITTED, trace };
  const view = nearest.failing.length === 0 ? conditionNotMet() : claimsDenied(nearest.rule, nearest.failing, claims, preset);
  // Audit mode stands in for the allow rules only: a deny rule has been heard by now, locks and limits come later.
  if (rules.grant.mode === "audit") return grantIt(policy, input, rules.grant, nearest.rule.id, view);
  return { allowed: false, view, rule: nearest.rule.id, trace };
}

/** Of the rules that make the caller a candidate, the one with the fewest failing conditions. */
function nearestCandidate(
  rules: TrustRules,
  claims: Claims,
  context: LazyContext,
): { readonly rule: Rule; readonly failing: Rule["conditions"] } | undefined {
  let best: { readonly rule: Rule; readonly failing: Rule["conditions"]; readonly score: number } | undefined;
  for (const rule of rules.allow) {
    if (!anchorsHold(rule, claims)) continue;
    const failing = rule.conditions.filter((condition) => !condition.test(valueOf(claims, condition)));
    const whenFails = rule.when !== undefined && rule.when.holds(context.get()) !== true;
    const score = failing.length + (whenFails ? 1 : 0);
    if (best === undefined || score < best.score) best = { rule, failing, score };
  }
  return best;
}

/** Scope and lifetime of what may be given. */
function grantIt(policy: Policy, input: DecisionInput, grant: Grant, rule: string, shadowed: DenialView | undefined): Decision {
  const { scope: asked, ttlMs: askedTtl } = input.request;
  const available = grant.issue.scope;
  const beyond = asked.filter((scope) => !available.includes(scope));
  const trace = (): DecisionTrace => traceOf(policy, input);
  if (beyond.length > 0) return { allowed: false, view: scopeTooWide(beyond), rule, trace };
  const { ttlMs, maxTtlMs } = grant.issue;
  const clipped = askedTtl === undefined || !(askedTtl <= maxTtlMs);
  return {
    allowed: true,
    grant,
    rule,
    scope: asked.length === 0 ? available : [...new Set(asked)],
    ttlMs: askedTtl === undefined ? ttlMs : clipped ? maxTtlMs : askedTtl,
    maxTtlMs,
    limitedBy: clipped ? "grant" : "asked",
    ...(shadowed === undefined ? {} : { shadowed }),
    trace,
  };
}

/** Grants that issue for this audience (`issue.audience`, byte for byte), whoever may have them. */
export function grantsForAudience(policy: Policy, audience: string): readonly Grant[] {
  return policy instanceof CompiledPolicy ? (policy.byAudience.get(audience) ?? []) : [];
}

/**
 * Decides an exchange that names no grant: of the grants for the audience, the one that the decision allows. Several: refused as
 * `target_ambiguous`, naming those that are allowed. None: refused as the only grant the caller is a candidate for would be, else
 * as if there were none. `input.request.grant` is not looked at.
 */
export function decideByAudience(policy: Policy, audience: string, input: DecisionInput): Decision {
  const decisions = grantsForAudience(policy, audience).map((grant) => ({
    grant,
    decision: decide(policy, { ...input, request: { ...input.request, grant: grant.name } }),
  }));
  const allowed = decisions.filter(({ decision }) => decision.allowed);
  const [first, second] = allowed;
  if (first !== undefined && second === undefined) return first.decision;
  if (first !== undefined) {
    const names = allowed.map(({ grant }) => grant.name).toSorted();
    return { allowed: false, view: targetAmbiguous(names), candidates: names, trace: first.decision.trace };
  }
  const told = decisions
    .map(({ decision }) => decision)
    .filter((decision): decision is Refused => !decision.allowed && decision.view.code !== "not_permitted");
  const best = told.find(({ view }) => view.code === "scope_too_wide") ?? told[0];
  return best ?? decide(policy, { ...input, request: { ...input.request, grant: decisions[0]?.grant.name ?? "" } });
}
