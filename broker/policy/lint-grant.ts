import { editDistance } from "./nearest.ts";
import type { Preset } from "../attestation/preset.ts";
import { foldsCase, presetOf } from "../attestation/presets.ts";
import { claimKey, compileCondition } from "./conditions.ts";
import type { Condition, GrantDocument, RuleDocument } from "./document.ts";
import type { Report } from "./lint.ts";
import { lintCi } from "./lint-ci.ts";
import { lintIdentity } from "./lint-identity.ts";
import { lintReview } from "./lint-review.ts";
import type { PresetName, Trust } from "./policy.ts";
import type { Path } from "./yaml.ts";

/** One rule as the lint rules look at it. */
export interface RuleView {
  readonly grant: GrantDocument;
  readonly rule: RuleDocument;
  readonly path: Path;
  readonly trust: Trust;
  readonly preset: Preset;
  /** High or critical: what is a warning elsewhere is an error here. */
  readonly sensitive: boolean;
  condition(name: string): Condition | undefined;
  /** Whether the condition would hold for a value; false where there is none. */
  admits(name: string, value: string): boolean;
  /** Whether the expression looks at the claim; then the lint rules leave it to its author. */
  mentions(name: string): boolean;
}

/** Lint rules for a grant. */
export function lintGrant(grant: GrantDocument, trusts: ReadonlyMap<string, Trust>, now: number, report: Report): void {
  const sensitive = grant.sensitivity === "high" || grant.sensitivity === "critical";
  lintReview(grant, "grant", sensitive, now, report);
  if (grant.mode === "audit")
    report(
      "audit-mode",
      ["mode"],
      "is in audit mode: candidates whom a rule would deny are let through and recorded",
      "set mode: enforce once the record is clean",
      "warning",
    );
  for (const [index, rule] of grant.allow.entries()) {
    const trust = trusts.get(rule.trust);
    if (trust === undefined) continue;
    const view = viewOf(grant, rule, ["allow", index], trust, sensitive);
    lintClaims(view, report);
    lintIdentity(view, report);
    lintCi(view, report);
  }
  for (const [index, rule] of (grant.deny ?? []).entries()) {
    // A rule for any trust is looked at as the first allowed trust's: that is where its claims come from.
    const trust = trusts.get(rule.trust ?? grant.allow[0]?.trust ?? "");
    if (trust !== undefined) lintClaims(viewOf(grant, rule, ["deny", index], trust, sensitive), report);
  }
}

function viewOf(grant: GrantDocument, written: RuleDocument, path: Path, trust: Trust, sensitive: boolean): RuleView {
  const claims = Object.fromEntries(Object.entries(written.claims ?? {}).map(([name, wanted]) => [claimKey(name), wanted]));
  const rule = { ...written, claims };
  const condition = (name: string): Condition | undefined =>
    rule.claims !== undefined && Object.hasOwn(rule.claims, name) ? rule.claims[name] : undefined;
  return {
    grant,
    rule,
    path,
    trust,
    preset: presetOf(trust.preset),
    sensitive,
    condition,
    admits: (name, value) => {
      const wanted = condition(name);
      const compiled =
        wanted === undefined
          ? undefined
          : compileCondition(name, wanted, { foldCase: foldsCase(trust.preset, name), effect: "allow", anchor: false });
      return typeof compiled === "object" && compiled.test(value);
    },
    mentions: (name) => rule.when?.includes(name) ?? false,
  };
}

/** Claims that are not text, although the platform's claims otherwise all are. */
const NUMBERS: Readonly<Partial<Record<PresetName, readonly string[]>>> = {
  github: [],
  gitlab: ["runner_id"],
  buildkite: ["build_number"],
};

/** Names that the platform does not send, and values of a type that it does not send. In a deny rule either means that it never denies. */
function lintClaims(view: RuleView, report: Report): void {
  const { preset, trust } = view;
  for (const [name, wanted] of Object.entries(view.rule.claims ?? {})) {
    const path = [...view.path, "claims", name];
    const numbers = NUMBERS[trust.preset];
    if (
      numbers !== undefined &&
      !["exp", "iat", "nbf", ...numbers].includes(name) &&
      preset.claims.includes(name) &&
      speaksOfOtherThanText(wanted)
    ) {
      report(
        "wrong-type",
        path,
        `${trust.preset} sends ${name} as text, so this never matches`,
        `write it in quotes, as "${String(Array.isArray(wanted) ? wanted[0] : typeof wanted === "object" ? "..." : wanted)}"`,
      );
    }
    if (preset.claims.length === 0 || preset.claims.includes(name) || preset.prefixes.some((prefix) => name.startsWith(prefix))) continue;
    const close = preset.claims.find((known) => editDistance(name, known, 3) < 3);
    const help = close === undefined ? "check its spelling, or use preset: generic for a platform of your own" : `did you mean "${close}"?`;
    report("unknown-claim", path, `${trust.preset} sends no claim "${name}"`, help, close === undefined ? "warning" : "error");
  }
}

function speaksOfOtherThanText(wanted: Condition): boolean {
  const values = Array.isArray(wanted)
    ? wanted
    : typeof wanted === "object"
      ? Array.isArray(wanted.not)
        ? wanted.not
        : [wanted.not ?? wanted.includes ?? ""]
      : [wanted];
  return values.some((value) => typeof value === "number" || typeof value === "boolean");
}
