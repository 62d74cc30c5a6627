import type { DenialView } from "../../domain/decision.ts";
import type { Claims } from "../../domain/principal.ts";
import { valueOf, type Condition } from "./conditions.ts";
import { hintFor } from "./hints.ts";
import type { PresetName } from "./policy.ts";
import type { Rule } from "./rules.ts";
import { shortened } from "./shown.ts";

/** Longest of the caller's own values that is sent back, in characters of JSON. */
const MAX_SHOWN = 512;

/** The one answer for whoever is no candidate, and for grants that do not exist: the same object, the same bytes. */
export const NOT_PERMITTED: DenialView = Object.freeze({
  code: "not_permitted",
  message: "no grant by that name is available to this workload",
});

/** A candidate's claims did not meet a rule (or met a deny rule): names them with the caller's own values, never what was wanted. */
export function claimsDenied(rule: Rule, conditions: readonly Condition[], claims: Claims, preset: PresetName): DenialView {
  const names = [...new Set(conditions.map(({ name }) => name))];
  // A deny rule without claims is one that only its expression decided.
  if (names.length === 0) return conditionNotMet();
  const yours: Record<string, unknown> = {};
  const absent = new Set<string>();
  for (const condition of conditions) {
    const value = valueOf(claims, condition);
    if (value === undefined) absent.add(condition.name);
    Object.defineProperty(yours, condition.name, {
      value: value === undefined ? null : shortened(value, MAX_SHOWN),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  const listed = names.map((name) => (absent.has(name) ? `${name} (absent)` : name)).join(", ");
  const hint = names.map((name) => hintFor(preset, name, absent.has(name), rule.effect)).find((text) => text !== undefined);
  return {
    code: "claim_mismatch",
    message: rule.effect === "deny" ? `refused because of: ${listed}` : `not met by: ${listed}`,
    failedClaims: names,
    yours,
    ...(hint === undefined ? {} : { hint }),
  };
}

/** A `when` did not hold: without detail, because it may look at more than the caller's own claims. */
export const conditionNotMet = (): DenialView => ({
  code: "condition_not_met",
  message: "the claims match, but a further condition of this grant is not met by this request",
  hint: "It may depend on the time, the purpose, the scope or the lifetime asked for. The grant's owner can look it up by the denial's id.",
});

/** Some of the asked scope is not the grant's. Names only what was asked. */
export const scopeTooWide = (beyond: readonly string[]): DenialView => ({
  code: "scope_too_wide",
  message: `asked for more scope than is available: ${beyond.slice(0, 16).join(" ").slice(0, 512)}`,
  hint: "Ask for less, or for no scope at all to get what the grant gives.",
});

/** Several grants issue for the audience and all would be given. */
export const targetAmbiguous = (names: readonly string[]): DenialView => ({
  code: "target_ambiguous",
  message: `several grants would do: ${names.join(", ")}`,
  hint: "Name one of them in scope, as grant:NAME.",
});
