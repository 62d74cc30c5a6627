import { hash } from "node:crypto";
import { presetClaims } from "./idp-claims.ts";
import { startIdp, type TestIdp } from "./idp.ts";
import { origin, startBroker, type BrokerSettings, type TestBroker } from "./broker.ts";
import { Secret } from "../../domain/secret.ts";
import type { ExchangeRequest } from "../../broker/services.ts";

/** With which the deploy API asks. */
export const DEPLOY_KEY = "deploy-api-key-of-the-shop";
export const DEPLOY = "https://deploy.shop.test";

/** The shop's policy: one trust, three grants, one verifier that asks before it believes. */
export const shopDocuments = (idp: TestIdp, url: string): string => `
kind: Trust
name: github
owner: team-platform
oidc: { issuer: "${idp.issuer}", audience: "${url}", preset: github, insecure_http: true, private_network: true }
---
kind: Settings
name: settings
lint: warn
---
kind: Grant
name: deploy
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "456789", ref: { glob: "refs/**" } } }
deny:
  - claims: { event_name: pull_request_target }
issue: { issuer: jwt, audience: "${DEPLOY}", scope: [deploy:read, deploy:write], ttl: 10m, max_ttl: 30m }
---
kind: Grant
name: few
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { issuer: jwt, audience: "https://few.shop.test", ttl: 10m }
limits: { active: 2, per_hour: 3 }
---
kind: Verifier
name: deploy-api
audience: ${DEPLOY}
key: sha256:${hash("sha256", DEPLOY_KEY, "hex")}
checks: introspection
`;

/** The grant of the test issuer, which has an outside effect. */
export const DATABASE = `
---
kind: Grant
name: database
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { issuer: test, ttl: 10m }
`;

/** A broker of the shop, its identity provider, and short ways to ask. */
export interface Shop extends AsyncDisposable {
  readonly broker: TestBroker;
  readonly idp: TestIdp;
  /** Fresh evidence of a CI job; the same `run` is the same task. */
  evidence(claims?: Readonly<Record<string, unknown>>): Promise<Secret>;
  exchange(change?: Partial<ExchangeRequest>): ReturnType<TestBroker["services"]["requests"]["exchange"]>;
}

export async function openShop(settings: BrokerSettings & { readonly more?: string } = {}): Promise<Shop> {
  const idp = await startIdp(settings.clock === undefined ? {} : { clock: settings.clock });
  const broker = await startBroker({ ...settings, documents: (url) => shopDocuments(idp, url) + (settings.more ?? "") });
  const evidence = async (claims: Readonly<Record<string, unknown>> = {}): Promise<Secret> =>
    new Secret(
      await idp.token(
        presetClaims("github", { iss: idp.issuer, aud: broker.url, repository_id: "456789", ref: "refs/heads/main", ...claims }),
      ),
    );
  return {
    broker,
    idp,
    evidence,
    exchange: async (change = {}) =>
      broker.services.requests.exchange({ ...request("deploy"), evidence: change.evidence ?? (await evidence()), ...change }),
    [Symbol.asyncDispose]: async () => {
      await broker[Symbol.asyncDispose]();
      await idp[Symbol.asyncDispose]();
    },
  };
}

/** A plain request for a grant. */
export const request = (grant: string | undefined) =>
  ({
    grant,
    scope: [],
    ttlMs: undefined,
    purpose: "",
    environment: "",
    resource: "",
    audiences: [],
    idempotency: undefined,
    origin: origin("POST /oauth2/token"),
  }) as const;
