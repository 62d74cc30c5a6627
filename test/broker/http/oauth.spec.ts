import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { MetadataView, OAuthErrorView } from "../../../domain/wire.ts";
import { startHttp, type TestHttp } from "../../support/http.ts";
import { CREDENTIAL, VERIFIER } from "../../support/memory-services.ts";

let http: TestHttp;
beforeAll(async () => void (http = await startHttp()));
afterAll(() => http.close());

const basic = (text: string): { authorization: string } => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });

describe("introspection", () => {
  it.each([
    { name: "Basic", headers: basic(`${VERIFIER.name}:${VERIFIER.key}`), form: {} },
    { name: "Basic, form-encoded as RFC 6749 has it", headers: basic(`deploy%2Dapi:${VERIFIER.key.replaceAll("-", "%2D")}`), form: {} },
    { name: "Bearer name:key", headers: { authorization: `Bearer ${VERIFIER.name}:${VERIFIER.key}` }, form: {} },
    { name: "Bearer with the key alone", headers: { authorization: `Bearer ${VERIFIER.key}` }, form: {} },
    { name: "client_secret_post", headers: {}, form: { client_id: VERIFIER.name, client_secret: VERIFIER.key } },
  ])("answers a verifier that comes by $name", async ({ headers, form }) => {
    const response = await http.form("/oauth2/introspect", { token: CREDENTIAL, token_type_hint: "refresh_token", ...form }, headers);
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(await response.json()).toMatchObject({ active: true, token_type: "Bearer", sub: "github:456789" });
  });

  it.each(["nonsense", "a.b.c", "x".repeat(16_384)])("says of anything that is not active exactly that (%#)", async (token) => {
    const response = await http.form("/oauth2/introspect", { token }, basic(`${VERIFIER.name}:${VERIFIER.key}`));
    expect([response.status, await response.text()]).toEqual([200, '{"active":false}']);
  });

  it.each([
    { name: "nobody", headers: {}, form: {}, status: 401 },
    { name: "a wrong key by Basic", headers: basic(`${VERIFIER.name}:wrong`), form: {}, status: 401 },
    { name: "another name", headers: basic(`other:${VERIFIER.key}`), form: {}, status: 401 },
    { name: "an unknown scheme", headers: { authorization: "Digest x" }, form: {}, status: 401 },
    { name: "a wrong secret in the form", headers: {}, form: { client_id: VERIFIER.name, client_secret: "wrong" }, status: 400 },
  ])("refuses $name", async ({ headers, form, status }) => {
    const response = await http.form("/oauth2/introspect", { token: CREDENTIAL, ...form }, headers);
    expect(response.status).toBe(status);
    expect(OAuthErrorView.parse(await response.json()).error).toBe("invalid_client");
    // clients raise the challenge in place of the error wherever one stands
    expect(response.headers.get("www-authenticate")).toBe(status === 401 ? 'Basic realm="stint", charset="UTF-8"' : null);
  });

  it("refuses two ways of authenticating at once, and a missing token", async () => {
    const both = await http.form(
      "/oauth2/introspect",
      { token: CREDENTIAL, client_secret: VERIFIER.key },
      basic(`${VERIFIER.name}:${VERIFIER.key}`),
    );
    expect([both.status, ((await both.json()) as { error: string }).error]).toEqual([400, "invalid_request"]);
    const none = await http.form("/oauth2/introspect", {}, basic(`${VERIFIER.name}:${VERIFIER.key}`));
    expect([none.status, ((await none.json()) as { error: string }).error]).toEqual([400, "invalid_request"]);
  });
});

describe("revocation by token", () => {
  it.each([CREDENTIAL, "unknown", "x.y.z"])("answers 200 and {} whatever the token was", async (token) => {
    const response = await http.form("/oauth2/revoke", { token, token_type_hint: "access_token" });
    expect([response.status, await response.text()]).toEqual([200, "{}"]);
  });
  it("refuses a request without a token", async () => {
    const response = await http.form("/oauth2/revoke", { token: "" });
    expect([response.status, ((await response.json()) as { error: string }).error]).toEqual([400, "invalid_request"]);
  });
});

describe("discovery", () => {
  it("serves the same document at both places, for any web page to read and keep for five minutes", async () => {
    const [oidc, oauth] = await Promise.all([
      http.fetch("/.well-known/openid-configuration", { headers: { host: "evil.example" } }),
      http.fetch("/.well-known/oauth-authorization-server"),
    ]);
    const body = MetadataView.parse(await oidc.json());
    expect(await oauth.json()).toEqual(body);
    expect(oidc.headers.get("cache-control")).toBe("public, max-age=300");
    expect(oidc.headers.get("access-control-allow-origin")).toBe("*");
    expect(body).toMatchObject({
      issuer: "http://127.0.0.1:8420",
      token_endpoint: "http://127.0.0.1:8420/oauth2/token",
      grant_types_supported: ["urn:ietf:params:oauth:grant-type:token-exchange"],
    });
    expect(body.id_token_signing_alg_values_supported).toContain("RS256");
    expect(body["authorization_endpoint"]).toBeUndefined();
  });

  it("answers 304 to whoever holds the document already", async () => {
    const first = await http.fetch("/.well-known/jwks.json");
    const etag = first.headers.get("etag") ?? "";
    expect(first.headers.get("content-type")).toBe("application/jwk-set+json");
    const again = await http.fetch("/.well-known/jwks.json", { headers: { "if-none-match": `"other", W/${etag}` } });
    expect([again.status, await again.text(), again.headers.get("etag")]).toEqual([304, "", etag]);
  });

  it("lets a browser ask before it reads them, and only them", async () => {
    const shared = await http.fetch("/.well-known/jwks.json", {
      method: "OPTIONS",
      headers: { origin: "https://x.example", "access-control-request-method": "GET" },
    });
    expect([shared.status, shared.headers.get("access-control-allow-origin")]).toEqual([204, "*"]);
    const closed = await http.fetch("/oauth2/token", {
      method: "OPTIONS",
      headers: { origin: "https://x.example", "access-control-request-method": "POST" },
    });
    expect([closed.status, closed.headers.get("access-control-allow-origin"), closed.headers.get("allow")]).toEqual([
      204,
      null,
      "POST, OPTIONS",
    ]);
  });
});
