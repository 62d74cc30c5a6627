import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { ExchangeRequest } from "../../../broker/services.ts";
import { OAuthErrorView, TOKEN_EXCHANGE, TOKEN_TYPES, TokenView } from "../../../domain/wire.ts";
import { fakeClock } from "../../support/clock.ts";
import { startHttp, type TestHttp } from "../../support/http.ts";
import { CREDENTIAL, EVIDENCE, TASK_TOKEN, memoryServices } from "../../support/memory-services.ts";

const good = { grant_type: TOKEN_EXCHANGE, subject_token: EVIDENCE, subject_token_type: TOKEN_TYPES.jwt, scope: "grant:deploy-prod" };
const encode = (form: Record<string, string>): string => new URLSearchParams(form).toString();

describe("the token endpoint", () => {
  let http: TestHttp;
  const asked: ExchangeRequest[] = [];
  beforeAll(async () => {
    const { requests } = memoryServices(fakeClock());
    http = await startHttp({ requests: { exchange: (request) => (asked.push(request), requests.exchange(request)) } });
  });
  afterAll(() => http.close());
  const last = (): ExchangeRequest => {
    const request = asked.at(-1);
    if (request === undefined) throw new Error("nothing was asked");
    return request;
  };

  it("exchanges evidence for a credential", async () => {
    const response = await http.form("/oauth2/token", good);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("cache-control")).toBe("no-store");
    const body = TokenView.parse(await response.json());
    expect(body).toMatchObject({
      access_token: CREDENTIAL,
      task_token: TASK_TOKEN,
      token_type: "Bearer",
      issued_token_type: TOKEN_TYPES.accessToken,
      expires_in: 600,
      scope: "deploy:write",
      limited_by: "grant",
    });
    expect(body.expires_at).toBe("2026-03-02T12:10:00.000Z");
  });

  it("hands on what was asked, and nothing that was not", async () => {
    const form = `${encode({ ...good, scope: "grant:deploy-prod deploy:write https://www.googleapis.com/auth/cloud-platform deploy:write", ttl: "5m", purpose: "release 7", environment: "production", options: "{}", client_id: "me" })}&audience=https%3A%2F%2Fa&resource=https%3A%2F%2Fb&audience=https%3A%2F%2Fb`;
    expect((await http.form("/oauth2/token", form, { "idempotency-key": '"k-1"' })).status).toBe(200);
    expect(last()).toMatchObject({
      grant: "deploy-prod",
      scope: ["deploy:write"],
      ttlMs: 300_000,
      purpose: "release 7",
      environment: "production",
      audiences: ["https://b", "https://a"],
      idempotency: { key: "k-1" },
    });
    expect(last().idempotency?.bodySha256).toMatch(/^[0-9a-f]{64}$/);
    expect(last().origin).toMatchObject({ ip: "127.0.0.1", route: "POST /oauth2/token" });
    expect(last().evidence.reveal()).toBe(EVIDENCE);
  });

  it("takes an empty value as absent and an id_token as evidence", async () => {
    expect(
      (
        await http.form("/oauth2/token", {
          ...good,
          subject_token_type: TOKEN_TYPES.idToken,
          requested_token_type: TOKEN_TYPES.accessToken,
          actor_token: "",
          ttl: "",
          purpose: "",
        })
      ).status,
    ).toBe(200);
    expect(last()).toMatchObject({ ttlMs: undefined, purpose: "", idempotency: undefined });
  });

  it("finds the grant by audience when none is named", async () => {
    expect((await http.form("/oauth2/token", { ...good, scope: "", audience: "https://deploy.acme.dev" })).status).toBe(200);
    expect(last()).toMatchObject({
      grant: undefined,
      scope: [],
      audiences: ["https://deploy.acme.dev"],
      resource: "https://deploy.acme.dev",
    });
  });

  const without = (...names: (keyof typeof good)[]): string =>
    encode(Object.fromEntries(Object.entries(good).filter(([name]) => !names.includes(name as keyof typeof good))));
  const jwt = TOKEN_TYPES.jwt;
  it.each([
    { name: "no grant_type", form: without("grant_type"), error: "invalid_request", says: /grant_type/ },
    {
      name: "another grant_type",
      form: encode({ ...good, grant_type: "client_credentials" }),
      error: "unsupported_grant_type",
      says: /token-exchange/,
    },
    { name: "no subject_token", form: without("subject_token"), error: "invalid_request", says: /subject_token is missing/ },
    { name: "no subject_token_type", form: without("subject_token_type"), error: "invalid_request", says: /subject_token_type is missing/ },
    {
      name: "foreign evidence called an access token",
      form: encode({ ...good, subject_token_type: TOKEN_TYPES.accessToken }),
      error: "invalid_request",
      says: /an identity token is no access token/,
    },
    {
      name: "an actor_token",
      form: encode({ ...good, actor_token: "a.b.c", actor_token_type: jwt }),
      error: "invalid_request",
      says: /actor_token is not supported/,
    },
    {
      name: "an actor_token_type alone",
      form: encode({ ...good, actor_token_type: jwt }),
      error: "invalid_request",
      says: /actor_token is not supported/,
    },
    {
      name: "another requested_token_type",
      form: encode({ ...good, requested_token_type: TOKEN_TYPES.idToken }),
      error: "invalid_request",
      says: /requested_token_type may be/,
    },
    { name: "subject_token twice", form: `${encode(good)}&subject_token=x`, error: "invalid_request", says: /stands twice/ },
    { name: "subject_token twice, once empty", form: `subject_token=&${encode(good)}`, error: "invalid_request", says: /stands twice/ },
    { name: "an unknown parameter twice", form: `${encode(good)}&options=1&options=2`, error: "invalid_request", says: /stands twice/ },
    {
      name: "two grants",
      form: encode({ ...good, scope: "grant:deploy-prod grant:other" }),
      error: "invalid_request",
      says: /more than one grant/,
    },
    { name: "brackets", form: `${encode(good)}&subject_token[0]=x`, error: "invalid_request", says: /parameters are flat/ },
    { name: "__proto__", form: `${encode(good)}&__proto__[admin]=1`, error: "invalid_request", says: /parameters are flat/ },
    {
      name: "constructor.prototype",
      form: `${encode(good)}&constructor.prototype.admin=1`,
      error: "invalid_request",
      says: /parameters are flat/,
    },
    { name: "bad percent-encoding", form: `${encode(good)}&purpose=%zz`, error: "invalid_request", says: /percent-encoded/ },
    { name: "a NUL", form: `${encode(good)}&purpose=a%00b`, error: "invalid_request", says: /percent-encoded/ },
    {
      name: "10,000 parameters",
      form: `${encode(good)}${"&a=".repeat(10_000)}`,
      error: "invalid_request",
      says: /more than 100 parameters/,
    },
    {
      name: "a token of 20 KB",
      form: encode({ ...good, subject_token: "x".repeat(20_000) }),
      error: "invalid_request",
      says: /subject_token/,
    },
    { name: "a ttl that is none", form: encode({ ...good, ttl: "soon" }), error: "invalid_request", says: /ttl: expected a span/ },
    {
      name: "a purpose with an escape sequence",
      form: encode({ ...good, purpose: "\u001b[31m" }),
      error: "invalid_request",
      says: /control characters/,
    },
    {
      name: "a scope with a quote",
      form: encode({ ...good, scope: 'grant:deploy-prod "x"' }),
      error: "invalid_request",
      says: /scope holds a character/,
    },
    {
      name: "evidence that is wrong",
      form: encode({ ...good, subject_token: "a.b.c" }),
      error: "invalid_request",
      says: /signature is wrong/,
    },
    {
      name: "a grant that does not exist",
      form: encode({ ...good, scope: "grant:nope" }),
      error: "invalid_target",
      says: /no grant by that name/,
    },
    {
      name: "a grant whose name is no name",
      form: encode({ ...good, scope: "grant:{{NOPE}}" }),
      error: "invalid_target",
      says: /no grant by that name/,
    },
  ])("refuses $name", async ({ form, error, says }) => {
    const response = await http.form("/oauth2/token", form);
    expect(response.status).toBe(400);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("www-authenticate")).toBeNull();
    const body = OAuthErrorView.parse(await response.json());
    expect(body.error).toBe(error);
    expect(body.error_description).toMatch(says);
    expect(body.error_description).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
    expect(body.error_uri).toBe(`http://127.0.0.1:8420/problems/${body.code}`);
    expect(({} as Record<string, unknown>)["admin"]).toBeUndefined();
  });

  it("refuses JSON, a query string and client authentication, each in OAuth's own form", async () => {
    const json = await http.json("/oauth2/token", good);
    expect([json.status, ((await json.json()) as { error: string }).error]).toEqual([400, "invalid_request"]);
    const query = await http.form(`/oauth2/token?${encode(good)}`, good);
    expect([query.status, ((await query.json()) as { error_description: string }).error_description]).toEqual([
      400,
      "parameters belong in the body, never in the URL",
    ]);
    const basic = await http.form("/oauth2/token", good, { authorization: "Basic eDp5" });
    expect([basic.status, basic.headers.get("www-authenticate"), ((await basic.json()) as { error: string }).error]).toEqual([
      401,
      'Basic realm="stint", charset="UTF-8"',
      "invalid_client",
    ]);
  });

  it.each([
    { name: "too long", key: "k".repeat(129) },
    { name: "too long, quoted", key: `"${"k".repeat(129)}"` },
    { name: "half quoted", key: '"k' },
    { name: "a list", key: '"a", "b"' },
  ])("refuses an idempotency key that is $name", async ({ key }) => {
    const response = await http.form("/oauth2/token", good, { "idempotency-key": key });
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error_description: string }).error_description).toMatch(/Idempotency-Key/);
  });
});
