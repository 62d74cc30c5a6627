import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import * as oauth from "oauth4webapi";
import * as openid from "openid-client";
import { z } from "zod";
import { TOKEN_EXCHANGE, TOKEN_TYPES } from "../../../domain/wire.ts";
import { DEPLOY, DEPLOY_KEY, openShop, type Shop } from "../../support/shop.ts";

let shop: Shop;
beforeAll(async () => {
  shop = await openShop();
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
});

const TaskToken = z.string().min(1);
const http = { [oauth.allowInsecureRequests]: true } as const;
const me: oauth.Client = { client_id: "ci-job" };
const verifier: oauth.Client = { client_id: "deploy-api" };

/** Discovery as the library does it, at either well-known place. */
async function discover(algorithm: "oidc" | "oauth2"): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(shop.broker.url);
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm, ...http }));
}

async function exchange(as: oauth.AuthorizationServer, form: Record<string, string>): Promise<oauth.TokenEndpointResponse> {
  const response = await oauth.genericTokenEndpointRequest(as, me, oauth.None(), TOKEN_EXCHANGE, new URLSearchParams(form), http);
  return oauth.processGenericTokenEndpointResponse(as, me, response);
}

const asked = async (change: Record<string, string> = {}): Promise<Record<string, string>> => ({
  subject_token: (await shop.evidence()).reveal(),
  subject_token_type: TOKEN_TYPES.idToken,
  scope: "grant:deploy",
  ...change,
});

const isActive = async (as: oauth.AuthorizationServer, token: string): Promise<oauth.IntrospectionResponse> =>
  oauth.processIntrospectionResponse(
    as,
    verifier,
    await oauth.introspectionRequest(as, verifier, oauth.ClientSecretBasic(DEPLOY_KEY), token, http),
  );

describe("an OAuth client that knows nothing of Stint", () => {
  it.each(["oidc", "oauth2"] as const)("discovers, exchanges, has its token checked, and revokes it (%s)", async (algorithm) => {
    const as = await discover(algorithm);
    const issued = await exchange(as, await asked());
    expect(issued).toMatchObject({
      token_type: "bearer",
      expires_in: expect.any(Number),
      issued_token_type: TOKEN_TYPES.accessToken,
      scope: "deploy:read deploy:write",
    });

    const request = new Request(`${DEPLOY}/deploy`, { headers: { authorization: `Bearer ${issued.access_token}` } });
    const claims = await oauth.validateJwtAccessToken(as, request, DEPLOY, http);
    expect(claims).toMatchObject({ iss: shop.broker.url, aud: DEPLOY, client_id: "github:456789", sub: "github:456789" });

    expect(await isActive(as, issued.access_token)).toMatchObject({ active: true, lease_id: issued["lease_id"] });
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, me, oauth.None(), issued.access_token, http));
    expect(await isActive(as, issued.access_token)).toEqual({ active: false });
  });

  it("finds by audience, and is told in OAuth's words when it may not", async () => {
    const as = await discover("oidc");
    const { scope: _, ...unnamed } = await asked({ audience: DEPLOY });
    expect(await exchange(as, unnamed)).toMatchObject({ access_token: expect.any(String) });
    await expect(exchange(as, await asked({ scope: "grant:nothing" }))).rejects.toMatchObject({
      error: "invalid_target",
      status: 400,
      cause: { code: "not_permitted", denial_id: expect.stringMatching(/^den_/) },
    });
    await expect(exchange(as, await asked({ subject_token: "a.b.c" }))).rejects.toMatchObject({
      error: "invalid_request",
      status: 400,
      cause: { code: "invalid_identity" },
    });
    await expect(exchange(as, await asked({ scope: "grant:deploy deploy:admin" }))).rejects.toMatchObject({
      error: "invalid_scope",
      status: 400,
    });
  });

  it("may go on with the task token as evidence, of type jwt", async () => {
    const as = await discover("oidc");
    const first = await exchange(as, await asked());
    const second = await exchange(as, {
      subject_token: TaskToken.parse(first["task_token"]),
      subject_token_type: TOKEN_TYPES.jwt,
      scope: "grant:deploy",
    });
    expect(second["task_id"]).toBe(first["task_id"]);
  });

  it("works with openid-client too", async () => {
    const config = await openid.discovery(new URL(shop.broker.url), "deploy-api", DEPLOY_KEY, openid.None(), {
      execute: [openid.allowInsecureRequests],
    });
    const issued = await openid.genericGrantRequest(config, TOKEN_EXCHANGE, await asked());
    expect(issued.expires_in).toBeGreaterThan(0);
    await openid.tokenRevocation(config, issued.access_token);
    const asking = await openid.discovery(new URL(shop.broker.url), "deploy-api", DEPLOY_KEY, openid.ClientSecretPost(DEPLOY_KEY), {
      execute: [openid.allowInsecureRequests],
    });
    expect(await openid.tokenIntrospection(asking, issued.access_token)).toEqual({ active: false });
  });

  it("binds its token by DPoP, nonce and all (oauth4webapi)", async () => {
    const as = await discover("oidc");
    expect(as.dpop_signing_alg_values_supported).toContain("ES256");
    const keys = await oauth.generateKeyPair("ES256");
    const DPoP = oauth.DPoP(me, keys);
    const ask = async (form: Record<string, string>): Promise<oauth.TokenEndpointResponse> => {
      const response = await oauth.genericTokenEndpointRequest(as, me, oauth.None(), TOKEN_EXCHANGE, new URLSearchParams(form), {
        ...http,
        DPoP,
      });
      return oauth.processGenericTokenEndpointResponse(as, me, response);
    };
    const form = await asked();
    // the first answer brings the nonce, the second attempt holds it: the evidence is not spent by that
    const first: unknown = await ask(form).catch((error: unknown) => error);
    expect(oauth.isDPoPNonceError(first)).toBe(true);
    const issued = await ask(form);
    expect(issued.token_type).toBe("dpop");

    const taskId = z.string().parse(issued["task_id"]);
    const resource = new URL(`${shop.broker.url}/v1/tasks/${taskId}`);
    const shown = await oauth.protectedResourceRequest(TaskToken.parse(issued["task_token"]), "GET", resource, undefined, undefined, {
      ...http,
      DPoP,
    });
    expect([shown.status, ((await shown.json()) as { id: string }).id]).toEqual([200, taskId]);
    // what it sends to an API is what that API's own validation takes
    const url = new URL(`${DEPLOY}/deploy`);
    let request: Request | undefined;
    const capture = async (to: string, { method, headers }: { method: string; headers: Record<string, string> }): Promise<Response> => {
      request = new Request(to, { method, headers });
      return new Response();
    };
    await oauth.protectedResourceRequest(issued.access_token, "POST", url, undefined, undefined, { DPoP, [oauth.customFetch]: capture });
    if (request === undefined) throw new Error("nothing was sent");
    const claims = await oauth.validateJwtAccessToken(as, request, DEPLOY, { ...http, requireDPoP: true });
    expect(claims.cnf?.jkt).toEqual(expect.stringMatching(/^[A-Za-z0-9_-]{43}$/));
    const bare = new Request(url, { headers: { authorization: `Bearer ${issued.access_token}` } });
    await expect(oauth.validateJwtAccessToken(as, bare, DEPLOY, http)).rejects.toThrow();
    expect(await isActive(as, issued.access_token)).toMatchObject({ active: true, token_type: "DPoP", cnf: claims.cnf });
  });

  it("binds its token by DPoP with openid-client, which meets the nonce by itself", async () => {
    const config = await openid.discovery(new URL(shop.broker.url), "deploy-api", DEPLOY_KEY, openid.None(), {
      execute: [openid.allowInsecureRequests],
    });
    const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair());
    const issued = await openid.genericGrantRequest(config, TOKEN_EXCHANGE, await asked(), { DPoP });
    expect(issued.token_type).toBe("dpop");
    const task = new URL(`${shop.broker.url}/v1/tasks/${z.string().parse(issued["task_id"])}`);
    const shown = await openid.fetchProtectedResource(config, TaskToken.parse(issued["task_token"]), task, "GET", undefined, undefined, {
      DPoP,
    });
    expect(shown.status).toBe(200);
  });

  it("is answered as google-auth-library expects: its default scope and its options are ignored", async () => {
    const form = new URLSearchParams({
      grant_type: TOKEN_EXCHANGE,
      audience: DEPLOY,
      scope: "https://www.googleapis.com/auth/cloud-platform",
      requested_token_type: TOKEN_TYPES.accessToken,
      subject_token: (await shop.evidence()).reveal(),
      subject_token_type: TOKEN_TYPES.jwt,
      options: "{}",
    });
    const response = await fetch(`${shop.broker.url}/oauth2/token`, { method: "POST", body: form });
    expect([response.status, await response.json()]).toEqual([
      200,
      expect.objectContaining({ token_type: "Bearer", expires_in: expect.any(Number) }),
    ]);
  });
});
