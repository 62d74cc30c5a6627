import { presetOf } from "../attestation/presets.ts";
import type { TrustDocument } from "./document.ts";
import type { Report } from "./lint.ts";
import { lintReview } from "./lint-review.ts";
import type { PresetName, Trust } from "./policy.ts";
import { compileTemplate } from "./template.ts";

/** Issuers of the platforms that every tenant shares, and the preset each needs. */
const PLATFORMS: readonly (readonly [RegExp, PresetName])[] = [
  [/^https:\/\/token\.actions\.(?:githubusercontent\.com|[a-z0-9-]+\.ghe\.com)(?:\/|$)/, "github"],
  [/^https:\/\/gitlab\.com\/?$/, "gitlab"],
  [/^https:\/\/agent\.buildkite\.com\/?$/, "buildkite"],
  [/^https:\/\/oidc\.circleci\.com(?:\/|$)/, "circleci"],
  [/^https:\/\/accounts\.google\.com\/?$/, "google"],
  [/^https:\/\/(?:sts\.windows\.net|login\.microsoftonline\.com)\//, "azure"],
];

/** Audiences that platforms put into tokens by themselves or for other services. */
const PLATFORM_AUDIENCES = [
  /^https:\/\/github\.com(?:\/[\w.-]+)?\/?$/i,
  /^https:\/\/gitlab\.com\/?$/i,
  /^https:\/\/(?:agent\.)?buildkite\.com(?:\/[\w.-]+)?\/?$/i,
  /^(?:https:\/\/)?kubernetes\.default(?:\.svc(?:\.cluster\.local)?)?\/?$/i,
  /^(?:https:\/\/)?sts\.amazonaws\.com\/?$/i,
  /^https:\/\/(?:management\.azure\.com|management\.core\.windows\.net|graph\.microsoft\.com|vault\.azure\.net)\/?$/i,
  /^api:\/\/AzureADTokenExchange$/i,
  /^(?:https:)?\/\/iam\.googleapis\.com\//i,
];
/** CircleCI's own default is the organisation's id. */
const ORGANISATION_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Lint rules for a trust. */
export function lintTrust(document: TrustDocument, trust: Trust | undefined, now: number, report: Report): void {
  lintReview(document, "trust", false, now, report);
  if (trust === undefined) return;
  for (const audience of trust.audiences) {
    const platform =
      PLATFORM_AUDIENCES.some((pattern) => pattern.test(audience)) || (trust.preset === "circleci" && ORGANISATION_ID.test(audience));
    if (audience !== trust.issuer && !platform) continue;
    report(
      "platform-audience",
      ["oidc", "audience"],
      `the audience ${audience} is also in tokens meant for others`,
      "use an audience of your own, such as the broker's URL, and ask for it where the token is made",
    );
  }
  const known = PLATFORMS.find(([pattern]) => pattern.test(trust.issuer));
  if (known !== undefined && known[1] !== trust.preset) {
    report(
      "wrong-preset",
      ["oidc", "preset"],
      `${trust.issuer} is ${known[1]}, but the trust uses the preset ${trust.preset}`,
      `write preset: ${known[1]}, so that its claims are compared and checked as that platform needs`,
    );
  }
  lintSharedIssuer(trust, report);
  lintId(document, trust, report);
}

function lintSharedIssuer(trust: Trust, report: Report): void {
  const path = ["oidc", "issuer"];
  if (
    trust.preset === "kubernetes" &&
    /^https:\/\/kubernetes\.default(?:\.svc(?:\.cluster\.local)?)?\/?$/.test(trust.issuer) &&
    trust.keys.from === "discovery"
  ) {
    report(
      "shared-issuer",
      path,
      "every cluster that was not told otherwise calls itself this",
      "give the cluster an issuer of its own (--service-account-issuer), or its keys by jwks_file",
    );
  }
  if (
    trust.preset === "circleci" &&
    trust.issuer.startsWith("https://oidc.circleci.com") &&
    !/^https:\/\/oidc\.circleci\.com\/org\/[^/]+$/.test(trust.issuer)
  ) {
    report("shared-issuer", path, "the issuer names no organisation", "write https://oidc.circleci.com/org/ORGANISATION-ID");
  }
  if (trust.preset === "azure" && /\/(?:common|organizations|consumers)(?:\/|$)/.test(trust.issuer)) {
    report("shared-issuer", path, "the issuer names no tenant", "write the tenant's id in place of common, organizations or consumers");
  }
}

function lintId(document: TrustDocument, trust: Trust, report: Report): void {
  const template = document.id === undefined ? undefined : compileTemplate(document.id);
  if (template === undefined || "error" in template) return;
  const { mutableClaims, id } = presetOf(trust.preset);
  if (template.needs.length === 0)
    report("mutable-id", ["id"], "the id is the same for everybody this trust vouches for", `use an immutable claim, such as ${id}`);
  else if (template.needs.every((claim) => mutableClaims.includes(claim))) {
    report(
      "mutable-id",
      ["id"],
      "the id is made of names only, and budgets, locks and revocations go by it",
      `use an immutable claim, such as ${id}`,
    );
  }
}
