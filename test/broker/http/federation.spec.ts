import { hash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { decodeJwt } from "jose";
import type { JSONWebKeySet } from "jose";
import * as oauth from "oauth4webapi";
import { createVerifier } from "../../../client/verify/index.ts";
import { createClient, fixedIdentity } from "../../../client/index.ts";
import { TOKEN_EXCHANGE, TOKEN_TYPES } from "../../../domain/wire.ts";
import { federate, RELYING_PARTIES } from "../../issuers/jwt/relying-parties.ts";
import { openShop, type Shop } from "../../support/shop.ts";

const KEY = "key-of-the-cloud-api";
const grants = RELYING_PARTIES.map(
  ({ audience }, index) => `
---
kind: Grant
name: cloud-${index}
owner: team-platform
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { issuer: jwt, profile: federation, audience: "${audience}", ttl: 10m }`,
).join("");
const VERIFIER = `
---
kind: Verifier
name: sts
audience: sts.amazonaws.com
key: sha256:${hash("sha256", KEY, "hex")}
checks: introspection
routes:
  - { path: "/**", require: {} }
`;
let shop: Shop;
beforeAll(async () => {
  shop = await openShop({ more: grants + VERIFIER });
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
});

const http = { [oauth.allowInsecureRequests]: true } as const;
const me: oauth.Client = { client_id: "ci-job" };
const metadata = async (): Promise<oauth.AuthorizationServer> => {
  const issuer = new URL(shop.broker.url);
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: "oidc", ...http }));
};
const asked = async (grant: string, more: Record<string, string> = {}): Promise<Response> =>
  oauth.genericTokenEndpointRequest(
    await metadata(),
    me,
    oauth.None(),
    TOKEN_EXCHANGE,
    new URLSearchParams({
      subject_token: (await shop.evidence()).reveal(),
      subject_token_type: TOKEN_TYPES.idToken,
      scope: `grant:${grant}`,
      ...more,
    }),
    http,
  );
const token = async (): Promise<string> => ((await (await asked("cloud-0")).json()) as { access_token: string }).access_token;

describe.each(RELYING_PARTIES.map((party, index) => ({ party, grant: `cloud-${index}`, name: party.name })))(
  "a token for $name from the token endpoint",
  ({ party, grant }) => {
    it("is what the party reads by our discovery and our keys, and says that it is no access token", async () => {
      const as = await metadata();
      const answer = await oauth.processGenericTokenEndpointResponse(as, me, await asked(grant), {
        recognizedTokenTypes: { n_a: () => undefined },
      });
      expect(answer).toMatchObject({
        token_type: "n_a",
        issued_token_type: TOKEN_TYPES.jwt,
        credential: { type: "jwt", profile: "federation" },
      });
      const keys = (await (await fetch(as.jwks_uri ?? "")).json()) as JSONWebKeySet;
      expect(as.id_token_signing_alg_values_supported).toContain("RS256");
      const claims = await federate(party, answer.access_token, { issuer: as.issuer, keys, subject: "github:456789", now: Date.now() });
      expect(claims["lease_id"]).toBe(answer["lease_id"]);
    });
  },
);

describe("requested_token_type", () => {
  it("is what the grant gives, or the request is refused", async () => {
    expect((await asked("cloud-0", { requested_token_type: TOKEN_TYPES.jwt })).status).toBe(200);
    expect((await asked("deploy", { requested_token_type: TOKEN_TYPES.accessToken })).status).toBe(200);
    for (const [grant, type, said] of [
      ["cloud-0", TOKEN_TYPES.accessToken, "cloud-0 issues a jwt for a relying party"],
      ["deploy", TOKEN_TYPES.jwt, "deploy issues an access token"],
      ["deploy", TOKEN_TYPES.idToken, "requested_token_type may be"],
    ] as const) {
      const refused = await asked(grant, { requested_token_type: type });
      expect([refused.status, await refused.json()]).toEqual([
        400,
        expect.objectContaining({ error: "invalid_request", error_description: expect.stringContaining(said) }),
      ]);
    }
  });
});

describe("a token for a relying party", () => {
  it("is no access token to our own verifiers, nor to the broker's decisions on actions", async () => {
    const given = await token();
    for (const revocation of ["none", "introspection"] as const) {
      const own = { issuer: shop.broker.url, audience: "sts.amazonaws.com", name: "sts", key: KEY, revocation, log: () => undefined };
      await using verifier = createVerifier(own);
      await expect(verifier.verify(given)).rejects.toMatchObject({ reason: "wrong_type" });
    }
    const decided = await fetch(`${shop.broker.url}/v1/authorize`, {
      method: "POST",
      headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
      body: JSON.stringify({ token: given, method: "GET", path: "/anything" }),
    });
    expect(await decided.json()).toMatchObject({ decision: false, code: "invalid_token" });
  });

  it("is no evidence to the broker that made it", async () => {
    const again = await asked("deploy", { subject_token: await token(), subject_token_type: TOKEN_TYPES.jwt });
    expect([again.status, await again.json()]).toEqual([400, expect.objectContaining({ code: "issuer_unknown" })]);
  });

  it("can be asked about while it lives, and given back by whoever holds it", async () => {
    const given = await token();
    const ask = async (): Promise<unknown> =>
      (
        await fetch(`${shop.broker.url}/oauth2/introspect`, {
          method: "POST",
          headers: { authorization: `Bearer ${KEY}` },
          body: new URLSearchParams({ token: given }),
        })
      ).json();
    expect(await ask()).toMatchObject({ active: true, token_type: "N_A", sub: "github:456789", lease_id: decodeJwt(given)["lease_id"] });
    expect(await ask()).not.toHaveProperty("client_id");
    await fetch(`${shop.broker.url}/oauth2/revoke`, { method: "POST", body: new URLSearchParams({ token: given }) });
    expect(await ask()).toEqual({ active: false });
  });

  it("reaches the client's own programs under its profile, from either endpoint", async () => {
    const client = createClient({ url: shop.broker.url, identity: fixedIdentity((await shop.evidence({ run_id: "77" })).reveal()) });
    const alone = await client.request("cloud-0");
    expect([alone.issuer, alone.material]).toEqual(["jwt", expect.objectContaining({ type: "jwt", profile: "federation" })]);
    await using task = await createClient({
      url: shop.broker.url,
      identity: fixedIdentity((await shop.evidence({ run_id: "78" })).reveal()),
    }).task();
    expect((await task.credential("cloud-0")).material).toMatchObject({ type: "jwt", profile: "federation" });
  });
});
