import type { Problem } from "../../domain/errors.ts";
import type { Compilation, Checked, PolicyContext } from "./compile.ts";
import { lintFederation } from "./lint-federation.ts";
import { lintGrant } from "./lint-grant.ts";
import { lintTrust } from "./lint-trust.ts";
import { lintVerifier } from "./lint-verifier.ts";
import { suggestion } from "./nearest.ts";
import { runTests } from "./tests.ts";
import type { Path } from "./yaml.ts";

/** Every lint rule, by its stable id: what it refuses and why. `accept` names these. */
export const LINT_RULES = {
  "missing-owner": "Nobody answers for the document.",
  "missing-review": "A grant of high or critical sensitivity says no day by which it is looked at again.",
  "review-soon": "The day of review is less than 30 days away.",
  "review-overdue": "The day of review has passed.",
  "platform-audience": "The audience is one that the platform puts into tokens for others, so a token meant for another service would do.",
  "shared-issuer": "Many owners share this issuer, and nothing tells them apart.",
  "wrong-preset": "The issuer is a platform that Stint knows, but the trust does not use its preset.",
  "mutable-id": "The trust's id is made of names, which can be given up and taken by somebody else.",
  "no-anchor": "No condition binds the rule to one owner by an immutable id, so strangers of the same platform may match.",
  "mutable-name-only": "The rule knows its owner by names only, which can be given up and taken by somebody else.",
  "missing-organization": "The platform's issuer serves every organisation and the rule names none.",
  "name-based-sub": "The subject's format is made of names and can be customised.",
  "too-broad": "A pattern that matches anything.",
  "open-prefix": "A pattern over a name that also matches longer names, as acme* matches acme-evil.",
  "unowned-branch": "A pattern over branches or tags that whoever may push can satisfy.",
  "unprotected-ref": "Any branch of the project will do, protected or not.",
  "fork-pipeline": "In merge requests from forks the project's id may be the fork's while the job runs elsewhere.",
  "unsafe-event": "Outsiders can cause or feed runs of this event, and they carry the owner's identity.",
  "missing-environment": "A grant of high or critical sensitivity without a deployment environment or a protected ref.",
  "wrong-type": "The platform sends this claim as text, so the condition never matches.",
  "unknown-claim": "The platform sends no claim of this name.",
  "audit-mode": "The grant is in audit mode: candidates are let through.",
  "no-tests": "The grant has no tests.",
  "federation-url": "Clouds are to accept the token, and cannot fetch our keys: STINT_URL is not https.",
  "subject-too-long": "Google takes subjects of 127 bytes, and those of the trust may be longer.",
  "route-shadowed": "An earlier route matches whatever this one matches, so this one never decides.",
  "route-scope": "The route needs a scope that no grant for the verifier's audience gives.",
  "open-route": "The route lets any live token for the audience change something.",
  "test-failed": "One of the grant's own tests fails.",
} as const;
export type LintRule = keyof typeof LINT_RULES;

/** How a rule says what it found. Errors become warnings under `Settings.lint: warn`; accepted rules say nothing. */
export type Report = (rule: LintRule, path: Path, message: string, help: string, severity?: Problem["severity"]) => void;

/** Looks for what compiles but has burned others. Findings go to the documents' own complaints. */
export function lint(compilation: Compilation, { now, stintUrl }: Pick<PolicyContext, "now" | "stintUrl">): void {
  for (const { document, complaints } of compilation.trusts)
    lintTrust(document, compilation.policy.trusts.get(document.name), now, reporter({ document, complaints }, compilation));
  for (const checked of compilation.grants) {
    const report = reporter(checked, compilation);
    lintGrant(checked.document, compilation.policy.trusts, now, report);
    const { trusts, grants } = compilation.policy;
    lintFederation(checked.document, grants.get(checked.document.name)?.issue, { trusts, stintUrl }, report);
    lintTests(checked.document, compilation, report);
  }
  for (const checked of compilation.verifiers) {
    const { audience } = checked.document;
    const given = (compilation.policy.byAudience.get(audience) ?? []).flatMap(({ issue }) => issue.scope);
    lintVerifier(compilation.policy.verifiers.get(checked.document.name), new Set(given), reporter(checked, compilation));
  }
  for (const checked of compilation.all) checkAccept(checked);
}

function reporter({ document, complaints }: Checked, compilation: Compilation): Report {
  const accepted = acceptOf(document);
  return (rule, path, message, help, severity = "error") => {
    if (Object.hasOwn(accepted, rule)) return;
    const way = severity === "error" ? `${help}; or accept: { ${rule}: "the reason" }` : help;
    complaints.add(path, message, { rule, help: way, severity: compilation.settings.lint === "warn" ? "warning" : severity });
  };
}

const acceptOf = (document: Checked["document"]): Readonly<Record<string, unknown>> =>
  "accept" in document ? ((document.accept as Readonly<Record<string, unknown>> | undefined) ?? {}) : {};

function checkAccept({ document, complaints }: Checked): void {
  if (document.kind === "Target") return;
  for (const rule of Object.keys(acceptOf(document))) {
    if (!Object.hasOwn(LINT_RULES, rule))
      complaints.add(["accept", rule], `there is no lint rule "${rule}"`, { help: suggestion(rule, Object.keys(LINT_RULES)), at: "key" });
  }
}

/** A failing test does not keep a policy out of force (`stint policy test` is the gate); it is said wherever the policy is loaded. */
function lintTests(document: Compilation["grants"][number]["document"], compilation: Compilation, report: Report): void {
  if (document.tests === undefined || document.tests.length === 0) {
    report("no-tests", [], "has no tests", "add tests: one that is allowed and one that is denied", "warning");
    return;
  }
  if (!compilation.policy.grants.has(document.name)) return;
  for (const result of runTests(compilation.policy, document)) {
    if (!result.passed)
      report(
        "test-failed",
        ["tests", result.index],
        `test "${result.name}" fails: expected ${result.expected}, got ${result.got}`,
        "run stint policy test for the reasoning",
        "warning",
      );
  }
}
