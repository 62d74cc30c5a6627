import { foldsCase } from "../attestation/presets.ts";
import { claimKey, compileCondition } from "./conditions.ts";
import type { Condition } from "./document.ts";
import type { RuleView } from "./lint-grant.ts";
import type { Report } from "./lint.ts";

/** What has burned users of CI platforms: events that outsiders cause, branches that anybody may push, grants without an environment. */
export function lintCi(view: RuleView, report: Report): void {
  const protectedRef = view.admits("ref_protected", "true") && !view.admits("ref_protected", "false");
  lintRefs(view, protectedRef, report);
  if (view.trust.preset === "github") lintGithubEvents(view, report);
  if (view.trust.preset === "gitlab") lintGitlab(view, protectedRef, report);
  if (
    (view.trust.preset === "github" || view.trust.preset === "gitlab") &&
    view.sensitive &&
    !protectedRef &&
    !names(view, "environment") &&
    !view.mentions("ref_protected")
  ) {
    report(
      "missing-environment",
      view.path,
      "asks for no environment and no protected ref, although the grant is of high sensitivity",
      'add environment: production (with protection rules where the job runs), or ref_protected: "true"',
    );
  }
}

/** A condition that says which values will do, not only which will not; or an expression that looks at the claim. */
function names(view: RuleView, claim: string): boolean {
  const condition = view.condition(claim);
  const isNot = typeof condition === "object" && !Array.isArray(condition) && condition.not !== undefined;
  return (condition !== undefined && !isNot) || view.mentions(claim);
}

const REFS = ["ref", "ref_path", "base_ref", "head_ref", "build_branch", "build_tag", "oidc.circleci.com/vcs-ref"];
const WORKFLOWS = ["workflow_ref", "job_workflow_ref", "ci_config_ref_uri"];

function lintRefs(view: RuleView, protectedRef: boolean, report: Report): void {
  if (protectedRef || view.mentions("ref_protected")) return;
  for (const claim of [...REFS, ...WORKFLOWS]) {
    const text = patternText(view.condition(claim));
    // Of a workflow's reference only what follows the last "@" is a branch.
    const ref = WORKFLOWS.includes(claim) && text?.includes("@") ? text.slice(text.lastIndexOf("@")) : text;
    if (ref === undefined || !/[*+?[{(|]|\.(?!\w)/.test(ref.replace(/\\./g, ""))) continue;
    report(
      "unowned-branch",
      [...view.path, "claims", claim],
      "whoever may push can make a branch or tag that this matches",
      'name the branch, or add ref_protected: "true", or protect what the pattern matches and accept this',
      view.sensitive ? "error" : "warning",
    );
  }
}

function patternText(condition: Condition | undefined): string | undefined {
  if (condition === undefined || typeof condition !== "object" || Array.isArray(condition)) return undefined;
  return condition.glob ?? condition.regex?.slice(1, -1);
}

/** Events that run with the repository's own identity on the default branch, though an outsider caused or fed them. */
const DEFAULT_BRANCH_EVENTS = ["pull_request_target", "workflow_run", "issue_comment"];

function lintGithubEvents(view: RuleView, report: Report): void {
  const claim = "event_name";
  const unsafe = view.preset.unsafeEvents?.values ?? [];
  const help = "name the events that may have it, as event_name: [push, workflow_dispatch], or deny the others";
  const condition = view.condition(claim);
  if (condition !== undefined && (typeof condition !== "object" || Array.isArray(condition) || condition.not === undefined)) {
    const admitted = unsafe.filter((event) => view.admits(claim, event) && !isDenied(view, claim, event));
    if (admitted.length > 0)
      report(
        "unsafe-event",
        [...view.path, "claims", claim],
        `allows ${admitted.join(", ")}: outsiders can cause or feed such runs, and they carry this repository's identity`,
        help,
      );
    return;
  }
  // These events run on the default branch: a rule for tags never meets them.
  if (view.mentions(claim) || isForTags(view.condition("ref"))) return;
  const open = DEFAULT_BRANCH_EVENTS.filter(
    (event) => (condition === undefined || view.admits(claim, event)) && !isDenied(view, claim, event),
  );
  if (open.length === 0) return;
  const severe = view.sensitive && open.includes("pull_request_target");
  report(
    "unsafe-event",
    view.path,
    `does not say which events may have it, so ${open.join(", ")} may: outsiders can cause or feed such runs`,
    help,
    severe ? "error" : "warning",
  );
}

function isForTags(ref: Condition | undefined): boolean {
  const texts = Array.isArray(ref) ? ref : typeof ref === "object" ? [ref.glob ?? ref.regex?.replace(/^\^/, "")] : [ref];
  return texts.every((text) => typeof text === "string" && text.startsWith("refs/tags/"));
}

/** Some deny rule refuses every run of the event, whatever else it is. */
function isDenied(view: RuleView, claim: string, value: string): boolean {
  return (view.grant.deny ?? []).some((rule) => {
    if ((rule.trust !== undefined && rule.trust !== view.trust.name) || rule.when !== undefined) return false;
    const conditions = Object.entries(rule.claims ?? {}).map(([name, wanted]) => [claimKey(name), wanted] as const);
    const [only] = conditions;
    if (only === undefined || conditions.length !== 1 || only[0] !== claim) return false;
    const compiled = compileCondition(claim, only[1], { foldCase: foldsCase(view.trust.preset, claim), effect: "deny", anchor: false });
    return typeof compiled === "object" && compiled.test(value);
  });
}

function lintGitlab(view: RuleView, protectedRef: boolean, report: Report): void {
  const sources =
    view.preset.unsafeEvents?.values.filter(
      (source) => view.admits("pipeline_source", source) && !isDenied(view, "pipeline_source", source),
    ) ?? [];
  const condition = view.condition("pipeline_source");
  const open = typeof condition === "object" && !Array.isArray(condition) && condition.not !== undefined;
  if (sources.length > 0 && !open) {
    report(
      "unsafe-event",
      [...view.path, "claims", "pipeline_source"],
      `allows ${sources.join(", ")}: outsiders can cause such pipelines`,
      "name the sources that may have it, as pipeline_source: [push, web]",
    );
  }
  if (view.condition("project_id") === undefined) return;
  if (!protectedRef && !view.mentions("ref_protected") && view.condition("environment_protected") === undefined) {
    report(
      "unprotected-ref",
      view.path,
      "any branch or tag of the project will do, protected or not",
      'add ref_protected: "true"',
      view.sensitive ? "error" : "warning",
    );
  }
  if (
    !protectedRef &&
    view.condition("job_project_id") === undefined &&
    !names(view, "pipeline_source") &&
    !view.mentions("job_project_id")
  ) {
    report(
      "fork-pipeline",
      view.path,
      "in merge requests from forks project_id may be one project while the job runs in another",
      "add job_project_id with the same id (GitLab 18.4 and later), or pipeline_source: [push]",
      "warning",
    );
  }
}
