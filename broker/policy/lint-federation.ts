import type { GrantDocument } from "./document.ts";
import type { Report } from "./lint.ts";
import type { GrantIssue, PresetName, Trust } from "./policy.ts";

/** Presets whose ids may be longer than Google takes: names, and paths of names. */
const LONG_IDS: ReadonlySet<PresetName> = new Set<PresetName>(["generic", "kubernetes", "spiffe"]);

/** Google Cloud's limit for `google.subject`, in bytes. */
const GOOGLE_SUBJECT = 127;
const isGoogle = (audience: string): boolean => /^(?:https:)?\/\/iam\.googleapis\.com\//.test(audience);

/** Lint rules for tokens that clouds and clusters are to accept: what only shows when one of them refuses. */
export function lintFederation(
  grant: GrantDocument,
  issue: GrantIssue | undefined,
  { trusts, stintUrl }: { readonly trusts: ReadonlyMap<string, Trust>; readonly stintUrl: string },
  report: Report,
): void {
  if (issue?.params["profile"] !== "federation") return;
  if (!stintUrl.startsWith("https:")) {
    report(
      "federation-url",
      ["issue", "profile"],
      "relying parties fetch our keys from STINT_URL, which is not https",
      "set STINT_URL to the https origin that they reach",
      "warning",
    );
  }
  if (!isGoogle(issue.audience ?? "")) return;
  for (const [index, rule] of grant.allow.entries()) {
    const trust = trusts.get(rule.trust);
    if (trust === undefined || !LONG_IDS.has(trust.preset)) continue;
    report(
      "subject-too-long",
      ["allow", index, "trust"],
      `subjects of trust ${trust.name} may be longer than the ${GOOGLE_SUBJECT} bytes that Google takes for google.subject`,
      "map google.subject to a shorter claim, or bind the rule to names that fit",
      "warning",
    );
  }
}
