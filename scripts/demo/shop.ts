import { hash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { presetClaims } from "../../test/support/idp-claims.ts";

/** Claims of a job of the shop's repository, on a run of its own; add or change what the scene is about. */
export const shopJob = (run: number, change: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => ({
  ...presetClaims("github"),
  repository: "acme/shop",
  repository_id: "456789",
  repository_owner: "acme",
  repository_owner_id: "1001",
  sub: "repo:acme/shop:environment:production",
  environment: "production",
  ref: "refs/heads/main",
  event_name: "push",
  run_id: String(8811 + run),
  run_attempt: "1",
  check_run_id: String(700 + run),
  ...change,
});

/** What the shop's documents speak of. */
export interface Setting {
  readonly idp: string;
  readonly api: string;
  readonly ship: string;
  readonly key: string;
  readonly tokens: Readonly<Record<string, string>>;
  readonly more: string;
}

/** Writes the policy and the list of operators, as a broker reads them. */
export async function configure(folder: string, { idp, api, ship, key, tokens, more }: Setting): Promise<void> {
  const rule = `{ repository_id: "456789", environment: production, ref: refs/heads/main, event_name: push }`;
  const documents = `
kind: Trust
name: github
owner: team-platform
oidc: { issuer: "${idp}", preset: github, insecure_http: true }
---
kind: Grant
name: deploy-prod
owner: team-payments
review_by: 2099-01-01
description: Deploy the shop to production
sensitivity: high
allow:
  - { trust: github, claims: ${rule} }
issue: { issuer: jwt, audience: "${api}", scope: [deploy:write], ttl: 10m, max_ttl: 30m }
tests:
  - { name: main deploys, given: { trust: github, claims: ${rule} }, expect: allow }
  - { name: a pull request never deploys, given: { trust: github, claims: { repository_id: "456789", ref: refs/pull/7/merge } }, expect: deny }
---
kind: Grant
name: smoke-test
owner: team-payments
description: Look whether the shop is up
sensitivity: low
allow:
  - { trust: github, claims: ${rule} }
issue: { issuer: jwt, audience: "${api}", scope: [deploy:read], ttl: 5s }
tests:
  - { name: main may look, given: { trust: github, claims: ${rule} }, expect: allow }
---
kind: Grant
name: ship-prod
owner: team-logistics
review_by: 2099-01-01
description: Tell the warehouse what to ship
sensitivity: high
allow:
  - { trust: github, claims: ${rule} }
issue: { issuer: jwt, audience: "${ship}", scope: [ship:write], ttl: 10m }
tests:
  - { name: main ships, given: { trust: github, claims: ${rule} }, expect: allow }
---
kind: Verifier
name: ship-api
audience: "${ship}"
key: sha256:${hash("sha256", key, "hex")}
checks: feed
---
kind: Verifier
name: deploy-api
audience: "${api}"
key: sha256:${hash("sha256", key, "hex")}
checks: introspection
`;
  await writeFile(join(folder, "stint", "shop.yaml"), documents + more);
  const lines = Object.entries(tokens).map(([who, token]) => `${who} sha256:${hash("sha256", token, "hex")}\n`);
  await writeFile(join(folder, "operators"), lines.join(""), { mode: 0o600 });
}
