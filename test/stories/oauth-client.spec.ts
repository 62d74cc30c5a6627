import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import * as oauth from "oauth4webapi";
import * as client from "openid-client";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { DEPLOY, DEPLOY_KEY, openShop, type Shop } from "../support/shop.ts";

// Clients and libraries that have never heard of Stint. They are strict about everything the standards say.
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";

describe("an independent OAuth client", () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop();
  });
  afterAll(async () => shop[Symbol.asyncDispose]());

  const asWorkload = (algorithm: "oidc" | "oauth2"): Promise<client.Configuration> =>
    client.discovery(new URL(shop.broker.url), "a-ci-job", undefined, client.None(), {
      execute: [client.allowInsecureRequests],
      algorithm,
    });
  const asVerifier = (): Promise<client.Configuration> =>
    client.discovery(new URL(shop.broker.url), "deploy-api", undefined, client.ClientSecretBasic(DEPLOY_KEY), {
      execute: [client.allowInsecureRequests],
      algorithm: "oauth2",
    });
  const exchange = async (more: Record<string, string> = {}): Promise<client.TokenEndpointResponse & { lease_id?: unknown }> => {
    const subject = (await shop.evidence()).reveal();
    return client.genericGrantRequest(await asWorkload("oauth2"), EXCHANGE, {
      subject_token: subject,
      subject_token_type: ID_TOKEN,
      audience: DEPLOY,
      ...more,
    });
  };

  it.each(["oidc", "oauth2"] as const)("discovers the broker by its %s metadata", async (algorithm) => {
    const metadata = (await asWorkload(algorithm)).serverMetadata();
    expect(metadata).toMatchObject({
      issuer: shop.broker.url,
      grant_types_supported: [EXCHANGE],
      token_endpoint: `${shop.broker.url}/oauth2/token`,
    });
    expect(metadata.response_types_supported).not.toEqual([]);
  });

  it("exchanges evidence for an access token", async () => {
    const answer = await exchange({ scope: "deploy:write" });
    expect(answer).toMatchObject({ token_type: "bearer", scope: "deploy:write", issued_token_type: ACCESS_TOKEN });
    expect(answer.expires_in).toBeGreaterThan(590);
    expect(answer.lease_id).toMatch(/^lease_/);
  });

  it("may be told which grant by a scope, and Google's default scope is let by", async () => {
    const answer = await exchange({ scope: "grant:deploy https://www.googleapis.com/auth/cloud-platform", options: "ignored" });
    expect(answer["lease_id"]).toMatch(/^lease_/);
  });

  it("gets tokens that other resource servers accept by RFC 9068", async () => {
    const { access_token } = await exchange();
    const request = new Request("https://deploy.shop.test/deploy", { headers: { authorization: `Bearer ${access_token}` } });
    const as = await oauth.processDiscoveryResponse(
      new URL(shop.broker.url),
      await oauth.discoveryRequest(new URL(shop.broker.url), { algorithm: "oauth2", [oauth.allowInsecureRequests]: true }),
    );
    const claims = await oauth.validateJwtAccessToken(as, request, DEPLOY, { [oauth.allowInsecureRequests]: true });
    expect(claims).toMatchObject({ iss: shop.broker.url, sub: "github:456789", client_id: "github:456789" });
    const { protectedHeader } = await jwtVerify(access_token, createRemoteJWKSet(new URL(`${shop.broker.url}/.well-known/jwks.json`)), {
      issuer: shop.broker.url,
      audience: DEPLOY,
      typ: "at+jwt",
    });
    expect(protectedHeader).toMatchObject({ alg: "ES256", typ: "at+jwt" });
  });

  it("introspects it, revokes it, and introspects it again", async () => {
    const { access_token } = await exchange();
    expect(await client.tokenIntrospection(await asVerifier(), access_token)).toMatchObject({ active: true, aud: DEPLOY });
    await client.tokenRevocation(await asWorkload("oauth2"), access_token);
    expect(await client.tokenIntrospection(await asVerifier(), access_token)).toEqual({ active: false });
    await client.tokenRevocation(await asWorkload("oauth2"), access_token);
    await client.tokenRevocation(await asWorkload("oauth2"), "never-a-token-of-ours");
  });

  it("is told errors as RFC 6749 and RFC 8693 name them", async () => {
    const config = await asWorkload("oauth2");
    const failing = (parameters: Record<string, string>, grant = EXCHANGE): Promise<unknown> =>
      client.genericGrantRequest(config, grant, parameters).catch((error: unknown) => error);
    const subject = (await shop.evidence()).reveal();
    const good = { subject_token: subject, subject_token_type: ID_TOKEN };
    expect(await failing({ ...good, audience: "https://nobody.test" })).toMatchObject({ error: "invalid_target", status: 400 });
    expect(await failing({ ...good, audience: DEPLOY, scope: "deploy:admin" })).toMatchObject({ error: "invalid_scope", status: 400 });
    expect(await failing({ ...good, subject_token: "e30.e30.e30", audience: DEPLOY })).toMatchObject({
      error: "invalid_request",
      status: 400,
    });
    expect(await failing({ ...good, actor_token_type: ID_TOKEN, audience: DEPLOY })).toMatchObject({ error: "invalid_request" });
    expect(await failing({}, "client_credentials")).toMatchObject({ error: "unsupported_grant_type" });
    expect(await failing({ assertion: subject }, "urn:ietf:params:oauth:grant-type:jwt-bearer")).toMatchObject({
      error: "unsupported_grant_type",
    });
  });

  it("must say who it is to introspect", async () => {
    const stranger = await client.discovery(new URL(shop.broker.url), "deploy-api", undefined, client.ClientSecretBasic("wrong"), {
      execute: [client.allowInsecureRequests],
      algorithm: "oauth2",
    });
    const { access_token } = await exchange();
    await expect(client.tokenIntrospection(stranger, access_token)).rejects.toMatchObject({ status: 401 });
  });
});
