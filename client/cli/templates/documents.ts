import type { CiName } from "./names.ts";
import type { Answers, Platform } from "./platform.ts";
import { quoted } from "./yaml.ts";

/** A `kind: Trust` document. */
export function trustDocument(name: CiName, platform: Platform, { owner }: Answers): string {
  return `kind: Trust
name: ${name}
owner: ${quoted(owner)}
oidc:
${platform.oidc.map((line) => `  ${line}`).join("\n")}
`;
}

/** A `kind: Grant` document with tests; \`reviewBy\` is a day, YYYY-MM-DD. */
export function grantDocument(trust: CiName, platform: Platform, answers: Answers, reviewBy: string): string {
  const { grant, owner, audience, scope } = answers;
  const deny = platform.deny.length === 0 ? "" : `deny:\n${platform.deny.map((rule) => `  - claims: ${flow(rule)}`).join("\n")}\n`;
  return `kind: Grant
name: ${grant}
owner: ${quoted(owner)}
review_by: ${reviewBy}
sensitivity: high
allow:  # one rule must match, with every condition of it
  - trust: ${trust}
    claims:
${Object.entries(platform.allow)
  .map(([claim, wanted]) => `      ${key(claim)}: ${wanted}`)
  .join("\n")}
${deny}issue:
  issuer: jwt
  audience: ${quoted(audience)}
  scope: [${quoted(scope)}]
  ttl: 10m
limits: { active: 5, per_hour: 60 }
tests:
${testsOf(trust, platform)}
`;
}

function testsOf(trust: CiName, { good, bad }: Platform): string {
  const one = (name: string, claims: object, expect: string): string =>
    `  - { name: ${quoted(name)}, given: { trust: ${trust}, claims: ${JSON.stringify(claims)} }, expect: ${expect} }`;
  return [one("the deployment gets it", good, "allow"), ...bad.map(({ name, change }) => one(name, { ...good, ...change }, "deny"))].join(
    "\n",
  );
}

const flow = (rule: Readonly<Record<string, string>>): string =>
  `{ ${Object.entries(rule)
    .map(([claim, wanted]) => `${key(claim)}: ${wanted}`)
    .join(", ")} }`;
const key = (claim: string): string => (/^[a-z_]+$/.test(claim) ? claim : quoted(claim));
