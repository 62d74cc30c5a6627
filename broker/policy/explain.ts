import type { DecisionTrace } from "../../domain/decision.ts";
import type { ErrorCode } from "../../domain/errors.ts";

/** The reasoning of a decision in one sentence: what decided. For operators: it says what a caller may not know. `code` is that of the refusal. */
export function summaryOf(trace: DecisionTrace, code: ErrorCode | undefined): string {
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
