import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { decodeJwt } from "jose";
import { TOKEN_EXCHANGE, TOKEN_TYPES } from "../../../domain/wire.ts";
import { proofMaker, type ProofChange, type ProofMaker } from "../../support/dpop.ts";
import { startIdp, type TestIdp } from "../../support/idp.ts";
import { DEPLOY, DEPLOY_KEY, openShop, type Shop } from "../../support/shop.ts";

/** A provider whose platform hands one token out again and again. */
const CACHED = (idp: TestIdp): string => `
---
kind: Trust
name: cached
owner: team-platform
oidc: { issuer: "${idp.issuer}", audience: "https://cached.test", preset: generic, single_use: false, insecure_http: true, private_network: true }
task: "one"
---
kind: Grant
name: cached
owner: team-payments
sensitivity: medium
allow:
  - { trust: cached, claims: { sub: "agent-7" } }
issue: { issuer: jwt, audience: "${DEPLOY}", scope: [deploy:read], ttl: 10m }
`;

let shop: Shop;
let url: string;
let nonce: string | undefined;
let cached: TestIdp;
beforeAll(async () => {
  cached = await startIdp();
  shop = await openShop({ more: CACHED(cached) });
  ({ url } = shop.broker);
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
  await cached[Symbol.asyncDispose]();
});

const makerFor = (method: string, path: string): Promise<ProofMaker> =>
  proofMaker({ method, url: `${url}${path}`, now: () => shop.broker.store.clock.now(), nonce: () => nonce });

/** One client: a key, and requests that prove it, with the nonce that the broker gave last. */
async function client() {
  const key = await makerFor("POST", "/oauth2/token");
  const proof = (method: string, path: string, change: ProofChange = {}): Promise<string> =>
    key.proof({ ...change, claims: { htm: method, htu: `${url}${path}`, ...change.claims } });
  async function send(path: string, init: RequestInit & { readonly method: string }): Promise<Response> {
    const response = await fetch(`${url}${path}`, init);
    nonce = response.headers.get("dpop-nonce") ?? nonce;
    return response;
  }
  const exchange = async (form: Record<string, string>, dpop?: string): Promise<Response> =>
    send("/oauth2/token", {
      method: "POST",
      body: new URLSearchParams({ grant_type: TOKEN_EXCHANGE, subject_token_type: TOKEN_TYPES.jwt, scope: "grant:deploy", ...form }),
      headers: { dpop: dpop ?? (await proof("POST", "/oauth2/token")) },
    });
  const bound = async (method: "GET" | "POST", path: string, token: string, body?: unknown, dpop?: string): Promise<Response> =>
    send(path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: {
        authorization: `DPoP ${token}`,
        dpop: dpop ?? (await proof(method, path, { token })),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
    });
  return { key, proof, send, exchange, bound };
}
type Client = Awaited<ReturnType<typeof client>>;

const evidence = async (claims?: Record<string, unknown>): Promise<string> => (await shop.evidence(claims)).reveal();
const said = async (response: Response): Promise<Record<string, unknown>> => (await response.json()) as Record<string, unknown>;

/** A client that knows the nonce already. */
async function ready(): Promise<Client> {
  const one = await client();
  nonce = shop.broker.services.proofs.nonce();
  return one;
}
async function issued(one: Client): Promise<{ access_token: string; task_token: string; task_id: string; lease_id: string }> {
  const response = await one.exchange({ subject_token: await evidence() });
  expect(response.status).toBe(200);
  return (await response.json()) as { access_token: string; task_token: string; task_id: string; lease_id: string };
}

describe("an exchange with a DPoP proof", () => {
  it("is asked for the nonce first, which costs the evidence nothing, and then binds credential and task token to the key", async () => {
    const one = await client();
    nonce = undefined;
    const form = { subject_token: await evidence() };
    const first = await one.exchange(form);
    expect([first.status, first.headers.get("www-authenticate"), (await said(first))["error"]]).toEqual([400, null, "use_dpop_nonce"]);
    const second = await one.exchange(form);
    expect(second.headers.get("dpop-nonce")).toBe(nonce);
    const body = await said(second);
    expect([second.status, body["token_type"]]).toEqual([200, "DPoP"]);
    const cnf = { jkt: one.key.thumbprint };
    expect(decodeJwt(String(body["access_token"]))).toMatchObject({ cnf });
    expect(decodeJwt(String(body["task_token"]))).toMatchObject({ cnf });
  });

  it("is told by introspection what it is", async () => {
    const { access_token, lease_id } = await issued(await ready());
    const response = await fetch(`${url}/oauth2/introspect`, {
      method: "POST",
      body: new URLSearchParams({ token: access_token }),
      headers: { authorization: `Bearer deploy-api:${DEPLOY_KEY}` },
    });
    expect(await said(response)).toMatchObject({ active: true, token_type: "DPoP", lease_id, cnf: { jkt: expect.any(String) } });
  });

  it("takes a proof once, whatever evidence comes with it: of twenty at once one is answered", async () => {
    const one = await ready();
    const dpop = await one.proof("POST", "/oauth2/token");
    const answers = await Promise.all(Array.from({ length: 20 }, async () => one.exchange({ subject_token: await evidence() }, dpop)));
    const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b);
    expect(statuses).toEqual([200, ...Array.from({ length: 19 }, () => 400)]);
    const refused = answers.find(({ status }) => status === 400);
    expect(await said(refused ?? Response.error())).toMatchObject({
      error: "invalid_dpop_proof",
      code: "invalid_dpop_proof",
      denial_id: expect.stringMatching(/^den_/),
    });
  });

  it("spends neither proof nor evidence when it is refused for the proof", async () => {
    const one = await ready();
    const subject_token = await evidence();
    for (const claims of [{ htm: "GET" }, { htu: `${url}/oauth2/revoke` }, { iat: 1 }, { jti: undefined }]) {
      const response = await one.exchange({ subject_token }, await one.proof("POST", "/oauth2/token", { claims }));
      expect([response.status, (await said(response))["error"]]).toEqual([400, "invalid_dpop_proof"]);
    }
    expect((await one.exchange({ subject_token })).status).toBe(200);
  });

  it("refuses two proofs in two headers", async () => {
    const one = await ready();
    const headers = new Headers({ dpop: await one.proof("POST", "/oauth2/token") });
    headers.append("dpop", await one.proof("POST", "/oauth2/token"));
    const body = new URLSearchParams({ grant_type: TOKEN_EXCHANGE, subject_token_type: TOKEN_TYPES.jwt, subject_token: await evidence() });
    const response = await fetch(`${url}/oauth2/token`, { method: "POST", body, headers });
    expect([response.status, (await said(response))["error"]]).toEqual([400, "invalid_dpop_proof"]);
  });

  it("refuses a proof, an access token and evidence in one another's place", async () => {
    const one = await ready();
    const { access_token, task_token } = await issued(one);
    const proof = await one.proof("POST", "/oauth2/token");
    for (const subject_token of [proof, access_token]) {
      const response = await one.exchange({ subject_token });
      expect([response.status, (await said(response))["code"]]).toEqual([400, "invalid_identity"]);
    }
    for (const dpop of [access_token, task_token, await evidence()]) {
      const response = await one.exchange({ subject_token: await evidence() }, dpop);
      expect([response.status, (await said(response))["error"]]).toEqual([400, "invalid_dpop_proof"]);
    }
  });
});

describe("a bound task token", () => {
  it("does everything with its key", async () => {
    const one = await ready();
    const { task_token, task_id } = await issued(one);
    const more = await one.bound("POST", `/v1/tasks/${task_id}/credentials`, task_token, { grant: "deploy" });
    const credential = (await said(more)) as { lease_id: string; credential: { token: string; token_type: string } };
    expect([more.status, credential.credential.token_type]).toEqual([201, "DPoP"]);
    expect(decodeJwt(credential.credential.token)).toMatchObject({ cnf: { jkt: one.key.thumbprint } });
    const renewed = await one.bound("POST", `/v1/leases/${credential.lease_id}/renew`, task_token, {});
    expect(renewed.status).toBe(200);
    expect(decodeJwt(((await said(renewed)) as typeof credential).credential.token)).toMatchObject({ cnf: { jkt: one.key.thumbprint } });
    const again = await one.exchange({ subject_token: task_token });
    expect([again.status, (await said(again))["token_type"]]).toEqual([200, "DPoP"]);
    expect((await one.bound("POST", `/v1/tasks/${task_id}/heartbeat`, task_token, {})).status).toBe(200);
    expect((await one.bound("GET", `/v1/leases/${credential.lease_id}`, credential.credential.token)).status).toBe(200);
    expect((await one.bound("POST", `/v1/leases/${credential.lease_id}/release`, credential.credential.token, {})).status).toBe(200);
    expect((await one.bound("GET", "/v1/whoami", task_token)).status).toBe(200);
    expect((await one.bound("POST", `/v1/tasks/${task_id}/complete`, task_token, { outcome: "success" })).status).toBe(200);
    expect((await one.bound("GET", `/v1/tasks/${task_id}`, task_token)).status).toBe(200);
  });

  it("opens nothing as Bearer, with another key, without a proof, or with a proof for another token or an earlier request", async () => {
    const [one, thief] = [await ready(), await ready()];
    const { access_token, task_token, task_id, lease_id } = await issued(one);
    const routes: readonly (readonly ["GET" | "POST", string, string, unknown])[] = [
      ["POST", `/v1/tasks/${task_id}/credentials`, task_token, { grant: "deploy" }],
      ["POST", `/v1/tasks/${task_id}/heartbeat`, task_token, {}],
      ["POST", `/v1/tasks/${task_id}/complete`, task_token, { outcome: "success" }],
      ["GET", `/v1/tasks/${task_id}`, task_token, undefined],
      ["GET", `/v1/leases/${lease_id}`, task_token, undefined],
      ["GET", `/v1/leases/${lease_id}`, access_token, undefined],
      ["POST", `/v1/leases/${lease_id}/renew`, task_token, {}],
      ["POST", `/v1/leases/${lease_id}/release`, task_token, {}],
      ["POST", `/v1/leases/${lease_id}/release`, access_token, {}],
      ["GET", "/v1/whoami", task_token, undefined],
      ["POST", "/v1/policy/check", task_token, { grant: "deploy" }],
    ];
    for (const [method, path, token, body] of routes) {
      const about = `${method} ${path}`;
      const json = body === undefined ? {} : { body: JSON.stringify(body) };
      const type = body === undefined ? {} : { "content-type": "application/json" };
      const bare = await one.send(path, { method, ...json, headers: { authorization: `Bearer ${token}`, ...type } });
      expect([about, bare.status, (await said(bare))["code"]]).toEqual([about, 401, "binding_mismatch"]);
      expect(bare.headers.get("www-authenticate")).toBe(
        'DPoP realm="stint", error="invalid_token", algs="ES256 ES384 Ed25519 RS256 PS256"',
      );
      const unproven = await one.send(path, { method, ...json, headers: { authorization: `DPoP ${token}`, ...type } });
      expect([about, unproven.status, (await said(unproven))["code"]]).toEqual([about, 401, "invalid_dpop_proof"]);
      const stolen = await thief.bound(method, path, token, body);
      expect([about, stolen.status, (await said(stolen))["code"]]).toEqual([about, 401, "binding_mismatch"]);
      const other = await one.bound(method, path, token, body, await one.proof(method, path, { token: "another" }));
      expect([about, other.status, (await said(other))["code"]]).toEqual([about, 401, "invalid_dpop_proof"]);
    }
    const proof = await one.proof("POST", `/v1/tasks/${task_id}/heartbeat`, { token: task_token });
    const beats = [1, 2].map(async () => (await one.bound("POST", `/v1/tasks/${task_id}/heartbeat`, task_token, {}, proof)).status);
    expect((await Promise.all(beats)).toSorted((a, b) => a - b)).toEqual([200, 401]);
    const again = await one.proof("POST", `/v1/tasks/${task_id}/credentials`, { token: task_token });
    const asked = [1, 2].map(
      async () => (await one.bound("POST", `/v1/tasks/${task_id}/credentials`, task_token, { grant: "deploy" }, again)).status,
    );
    expect((await Promise.all(asked)).toSorted((a, b) => a - b)).toEqual([201, 401]);
    const exchanged = await thief.exchange({ subject_token: task_token });
    expect([exchanged.status, await said(exchanged)]).toMatchObject([400, { error: "invalid_request", code: "binding_mismatch" }]);
  });

  it("is told of a nonce that is too old in words of a resource server", async () => {
    const one = await ready();
    const { task_token, task_id } = await issued(one);
    const path = `/v1/tasks/${task_id}`;
    const response = await one.bound(
      "GET",
      path,
      task_token,
      undefined,
      await one.proof("GET", path, { token: task_token, claims: { nonce: "old" } }),
    );
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toContain('DPoP realm="stint", error="use_dpop_nonce"');
    expect(response.headers.get("dpop-nonce")).toBe(nonce);
  });

  it("keeps its leases from an unbound task token of the same task", async () => {
    const one = await ready();
    const claims = { run_id: "4711", run_attempt: "1", check_run_id: "1" };
    const bound = await said(await one.exchange({ subject_token: await evidence(claims) }));
    const plain = await shop.exchange({ evidence: await shop.evidence(claims) });
    expect(plain.task.id).toBe(bound["task_id"]);
    const path = `/v1/leases/${String(bound["lease_id"])}/renew`;
    const response = await one.send(path, {
      method: "POST",
      body: "{}",
      headers: { authorization: `Bearer ${plain.taskToken.reveal()}`, "content-type": "application/json" },
    });
    expect([response.status, (await said(response))["code"]]).toEqual([401, "binding_mismatch"]);
  });
});

describe("an unbound task token", () => {
  it("is refused under the scheme of bound ones, and bound by the first proof that comes beside it", async () => {
    const one = await ready();
    const { taskToken, task } = await shop.exchange();
    const path = `/v1/tasks/${task.id}`;
    const wrong = await one.bound("GET", path, taskToken.reveal());
    expect([wrong.status, (await said(wrong))["code"]]).toEqual([401, "binding_mismatch"]);
    const exchanged = await said(await one.exchange({ subject_token: taskToken.reveal() }));
    expect(decodeJwt(String(exchanged["task_token"]))).toMatchObject({ cnf: { jkt: one.key.thumbprint }, task_id: task.id });
  });
});

describe("a task opened with a proof", () => {
  it("has a bound task token", async () => {
    const one = await ready();
    const open = async (dpop: string): Promise<Response> =>
      one.send("/v1/tasks", {
        method: "POST",
        body: "{}",
        headers: { authorization: `Bearer ${await evidence()}`, dpop, "content-type": "application/json" },
      });
    const proof = await one.proof("POST", "/v1/tasks");
    const response = await open(proof);
    expect(response.status).toBe(201);
    expect(decodeJwt(String((await said(response))["task_token"]))).toMatchObject({ cnf: { jkt: one.key.thumbprint } });
    const replay = await open(proof);
    expect([replay.status, (await said(replay))["code"]]).toEqual([401, "invalid_dpop_proof"]);
  });
});

describe("an idempotency key", () => {
  it("brings the credential back to the same key with a new proof, and to no other", async () => {
    const [one, other] = [await ready(), await ready()];
    const subject_token = await evidence();
    const ask = async (who: Client): Promise<Response> =>
      who.send("/oauth2/token", {
        method: "POST",
        body: new URLSearchParams({
          grant_type: TOKEN_EXCHANGE,
          subject_token_type: TOKEN_TYPES.jwt,
          scope: "grant:deploy",
          subject_token,
        }),
        headers: { "idempotency-key": "k1", dpop: await who.proof("POST", "/oauth2/token") },
      });
    const first = await said(await ask(one));
    const second = await said(await ask(one));
    expect([second["lease_id"], second["token_type"]]).toEqual([first["lease_id"], "DPoP"]);
    expect(decodeJwt(String(second["access_token"]))).toMatchObject({ cnf: { jkt: one.key.thumbprint } });
    const stolen = await ask(other);
    expect([stolen.status, (await said(stolen))["code"]]).toEqual([400, "evidence_spent"]);
  });
});

describe("evidence that may be used many times", () => {
  const fresh = (): Promise<string> =>
    cached.token({ iss: cached.issuer, aud: "https://cached.test", sub: "agent-7", jti: randomUUID() }, { lifetimeSeconds: 600 });
  const plainly = async (subject_token: string): Promise<Response> =>
    fetch(`${url}/oauth2/token`, {
      method: "POST",
      body: new URLSearchParams({ grant_type: TOKEN_EXCHANGE, subject_token_type: TOKEN_TYPES.jwt, scope: "grant:cached", subject_token }),
    });

  it("belongs to the first key that is proven with it: no limit for that one, nothing for anybody else", async () => {
    const [one, thief] = [await ready(), await ready()];
    const subject_token = await fresh();
    const form = { subject_token, scope: "grant:cached" };
    expect((await plainly(subject_token)).status).toBe(200);
    for (let use = 0; use < 103; use += 1) expect([use, (await one.exchange(form)).status]).toEqual([use, 200]);
    for (const response of [await plainly(subject_token), await thief.exchange(form)])
      expect([response.status, (await said(response))["code"]]).toEqual([400, "binding_mismatch"]);
    expect((await one.exchange(form)).status).toBe(200);
  });

  it("tells a thief nothing of the policy, and cannot be used up by one", async () => {
    const [one, thief] = [await ready(), await ready()];
    const subject_token = await fresh();
    expect((await one.exchange({ subject_token, scope: "grant:cached" })).status).toBe(200);
    for (let guess = 0; guess < 25; guess += 1) {
      const response = await thief.exchange({ subject_token, scope: "grant:cached deploy:write" });
      expect([response.status, (await said(response))["code"]]).toEqual([400, "binding_mismatch"]);
    }
    expect((await one.exchange({ subject_token, scope: "grant:cached" })).status).toBe(200);
  });

  it("is spent by twenty refusals of its own holder all the same", async () => {
    const one = await ready();
    const form = { subject_token: await fresh(), scope: "grant:cached" };
    expect((await one.exchange(form)).status).toBe(200);
    for (let refusal = 0; refusal < 20; refusal += 1) await one.exchange({ ...form, scope: "grant:nothing" });
    const response = await one.exchange(form);
    expect([response.status, (await said(response))["code"]]).toEqual([400, "evidence_spent"]);
  });

  it("without a key has a hundred uses", async () => {
    const subject_token = await fresh();
    for (let use = 0; use < 100; use += 1) expect((await plainly(subject_token)).status).toBe(200);
    const response = await plainly(subject_token);
    expect([response.status, (await said(response))["code"]]).toEqual([400, "evidence_spent"]);
  });
});
