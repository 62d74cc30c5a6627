import { isAnchored } from "../attestation/presets.ts";
import { pinsSomething } from "./conditions.ts";
import type { Condition } from "./document.ts";
import { literalPrefix } from "../../actions/glob.ts";
import type { RuleView } from "./lint-grant.ts";
import type { Report } from "./lint.ts";
import { regexPrefix } from "../../actions/regex.ts";

/** Whose runs a rule lets in: bound to one owner by what nobody else can have, and by patterns that end where names end. */
export function lintIdentity(view: RuleView, report: Report): void {
  const names = Object.keys(view.rule.claims ?? {});
  for (const name of names) lintPattern(view, name, report);
  const pinned = new Set(names.filter((name) => pinsSomething(view.condition(name) ?? { glob: "*" })));
  const { preset, trust } = view;
  const anchors = preset.anchors.map((set) => set.join(" and ")).join(", or ");
  if (isAnchored(trust.preset, pinned)) {
    if (trust.preset === "github" && view.condition("sub") !== undefined) {
      report(
        "name-based-sub",
        [...view.path, "claims", "sub"],
        "the subject's format is made of names, can be customised, and changed in 2026",
        "leave it out: repository_id, environment and ref say the same and do not change",
        "warning",
      );
    }
    return;
  }
  if (trust.preset === "buildkite" && !pinned.has("organization_slug") && !pinned.has("organization_id")) {
    report(
      "missing-organization",
      view.path,
      "names no organisation, and every organisation's tokens have this issuer",
      `add conditions on ${anchors}`,
    );
    return;
  }
  const named = preset.mutableClaims.filter((claim) => pinned.has(claim));
  const byId = preset.idClaims.some((claim) => pinned.has(claim));
  if (named.length > 0 && !byId) {
    report(
      "mutable-name-only",
      [...view.path, "claims", named[0] ?? ""],
      `knows its owner by ${named.join(", ")} only: names can be given up and taken by somebody else`,
      `add a condition on ${anchors}`,
    );
    return;
  }
  const what = byId
    ? "is bound to an owner, but not to one workload: nobody is a candidate by it"
    : "is bound to no owner: any tenant of the platform may match";
  report("no-anchor", view.path, what, `add a condition on ${anchors}`);
}

/** Wildcards: those that stand for anything, and those that go on where a name should have ended. */
function lintPattern(view: RuleView, name: string, report: Report): void {
  const condition = view.condition(name);
  if (condition === undefined || typeof condition !== "object" || Array.isArray(condition)) return;
  const path = [...view.path, "claims", name];
  if (condition.glob !== undefined && !/[^*/:]/.test(condition.glob)) {
    report("too-broad", path, `${JSON.stringify(condition.glob)} matches anything`, "leave the claim out, or say what is meant");
    return;
  }
  if (condition.regex !== undefined && /^\^\(?(?:\?:)?(?:\.|\[\^\/?\])[*+]\)?\$$/.test(condition.regex)) {
    report("too-broad", path, `${JSON.stringify(condition.regex)} matches anything`, "leave the claim out, or say what is meant");
    return;
  }
  const prefix = openPrefix(condition);
  if (prefix !== undefined && namesOwner(view, name, prefix)) {
    report(
      "open-prefix",
      path,
      `also matches names that only begin like ${JSON.stringify(prefix)}`,
      `end the fixed part with "/" or ":", or list the names`,
    );
  }
}

/** What mutable claims name besides owners: their patterns are judged as branches are. */
const NOT_OWNERS = ["workflow", "head_ref", "build_branch", "build_tag", "step_key", "cluster_name", "queue_key"];

/** Whether the open end lies in the part of the name that says whose it is: anywhere in an id or a subject, before the first "/" of a path. */
function namesOwner({ preset }: RuleView, name: string, prefix: string): boolean {
  if (name === "sub" || preset.idClaims.includes(name) || preset.anchors.some((set) => set.includes(name))) return true;
  return preset.mutableClaims.includes(name) && !NOT_OWNERS.includes(name) && !prefix.includes("/");
}

/** The literal text before the first wildcard, where no separator ends it. */
function openPrefix(condition: Extract<Condition, { glob?: string | undefined }>): string | undefined {
  if (condition.glob !== undefined) {
    const prefix = literalPrefix(condition.glob);
    return prefix === condition.glob || /[/:@=]$/.test(prefix) ? undefined : prefix;
  }
  if (condition.regex === undefined || !/^\^[^()|[\]]*\.[*+]/.test(condition.regex)) return undefined;
  const prefix = regexPrefix(condition.regex);
  return prefix === "" || /[/:@=]$/.test(prefix) ? undefined : prefix;
}
