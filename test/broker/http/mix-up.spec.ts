import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { decodeJwt } from "jose";
import type { VerifyProxy } from "../../../client/verify-proxy/verify-proxy.ts";
import { createVerifier, StatusLists, type AccessTokenClaims, type Verifier } from "../../../client/verify/index.ts";
import { TOKEN_EXCHANGE, TOKEN_TYPES, TokenView } from "../../../domain/wire.ts";
import { proofMaker } from "../../support/dpop.ts";
import { presetClaims } from "../../support/idp-claims.ts";
import { until } from "../../support/ahead-clock.ts";
import { DEPLOY, DEPLOY_KEY, type Shop } from "../../support/shop.ts";
import { BASIC, GATE_KEY, openGate, startGateProxy } from "../authorize/gate.ts";

const OTHERS = `
---
kind: Grant
name: others
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { issuer: jwt, audience: "https://others.shop.test", ttl: 10m }
---
kind: Verifier
name: others-api
audience: https://others.shop.test
key: sha256:${"0".repeat(64)}
checks: status_list
`;

/** Everything signed that is about: what we take, what we make, and what the standards beside ours make. */
const KINDS = [
  "evidence",
  "access token",
  "task token",
  "status list token",
  "DPoP proof",
  "client assertion",
  "transaction token",
  "security event token",
] as const;
type Kind = (typeof KINDS)[number];

/** One signed text, and a task and lease that are in force, for inputs that need one. */
interface Presented {
  readonly text: string;
  readonly issued: TokenView;
}

let shop: Shop;
let proxy: VerifyProxy;
let verifier: Verifier;
beforeAll(async () => {
  shop = await openGate({ more: OTHERS });
  const { url } = shop.broker;
  verifier = createVerifier({ issuer: url, audience: DEPLOY, name: "gate", key: GATE_KEY, reports: false, log: () => undefined });
  proxy = await startGateProxy(url);
  await verifier.ready();
  await until(async () => (await fetch(`http://127.0.0.1:${proxy.address.port}/readyz`)).status === 200);
});
afterAll(async () => {
  await verifier.close();
  await proxy[Symbol.asyncDispose]();
  await shop[Symbol.asyncDispose]();
});

const form = (path: string, body: Record<string, string>, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(shop.broker.url + path, { method: "POST", body: new URLSearchParams(body), headers });
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const exchange = (token: string, type: string, grant = "deploy", headers: Record<string, string> = {}): Promise<Response> =>
  form(
    "/oauth2/token",
    { grant_type: TOKEN_EXCHANGE, scope: `grant:${grant}`, purpose: "p", subject_token: token, subject_token_type: type },
    headers,
  );
const evidence = async (): Promise<string> => (await shop.evidence({ run_id: randomUUID() })).reveal();
const issue = async (grant = "deploy"): Promise<TokenView> =>
  TokenView.parse(await (await exchange(await evidence(), TOKEN_TYPES.idToken, grant)).json());
const get = async (path: string, headers: Record<string, string>): Promise<boolean> =>
  (await fetch(shop.broker.url + path, { headers })).ok;
const json = (path: string, body: unknown, headers: Record<string, string>): Promise<Response> =>
  fetch(shop.broker.url + path, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json", ...headers },
  });
const statusUri = ({ access_token }: TokenView): string =>
  (decodeJwt(access_token) as { status: { status_list: { uri: string } } }).status.status_list.uri;

/** Signed by the provider that we trust, good in everything but what kind it is. */
const ofIdp = (typ: string): Promise<string> => {
  const url = shop.broker.url;
  return shop.idp.token(presetClaims("github", { aud: url, jti: randomUUID(), run_id: randomUUID(), txn: randomUUID(), events: {} }), {
    header: { typ },
  });
};
const proof = async (): Promise<string> => {
  const { clock } = shop.broker.store;
  const nonce = shop.broker.services.proofs.nonce();
  const maker = await proofMaker({ method: "POST", url: `${shop.broker.url}/oauth2/token`, now: () => clock.now(), nonce: () => nonce });
  return maker.proof();
};

async function present(kind: Kind): Promise<Presented> {
  const issued = await issue();
  const text = async (): Promise<string> => {
    switch (kind) {
      case "evidence":
        return evidence();
      case "access token":
        return issued.access_token;
      case "task token":
        return issued.task_token;
      case "status list token":
        return (await fetch(statusUri(await issue("others")), { headers: { accept: "application/statuslist+jwt" } })).text();
      case "DPoP proof":
        return proof();
      case "client assertion":
        return ofIdp("client-authentication+jwt");
      case "transaction token":
        return ofIdp("txntoken+jwt");
      case "security event token":
        return ofIdp("secevent+jwt");
    }
  };
  return { text: await text(), issued };
}

type Input = readonly [name: string, takes: readonly Kind[], taken: (presented: Presented) => Promise<boolean>];

/** Every input of ours that reads something signed; `taken` tells whether it had any effect or was believed. */
const INPUTS: readonly Input[] = [
  ["subject_token of type jwt", ["evidence", "task token"], async ({ text }) => (await exchange(text, TOKEN_TYPES.jwt)).ok],
  ["subject_token of type id_token", ["evidence"], async ({ text }) => (await exchange(text, TOKEN_TYPES.idToken)).ok],
  ["subject_token of type access_token", [], async ({ text }) => (await exchange(text, TOKEN_TYPES.accessToken)).ok],
  [
    "the DPoP header of an exchange",
    ["DPoP proof"],
    async ({ text }) => (await exchange(await evidence(), TOKEN_TYPES.idToken, "deploy", { dpop: text })).ok,
  ],
  [
    "the client assertion of an introspection",
    [],
    async ({ text, issued }) => {
      const type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
      return (await form("/oauth2/introspect", { token: issued.access_token, client_assertion: text, client_assertion_type: type })).ok;
    },
  ],
  ["the bearer of a new task", ["evidence"], async ({ text }) => (await json("/v1/tasks", {}, bearer(text))).ok],
  ["the bearer of a task's view", ["task token"], ({ text, issued }) => get(`/v1/tasks/${issued.task_id}`, bearer(text))],
  [
    "the bearer of a lease's view",
    ["access token", "task token"],
    ({ text, issued }) => get(`/v1/leases/${issued.lease_id}`, bearer(text)),
  ],
  ["an operator's token", [], ({ text }) => get("/v1/leases", bearer(text))],
  ["a verifier's key", [], ({ text }) => get("/v1/feed/snapshot", bearer(text))],
  [
    "a token to be introspected",
    ["access token"],
    async ({ text }) => {
      const answer = await form("/oauth2/introspect", { token: text }, bearer(`deploy-api:${DEPLOY_KEY}`));
      return ((await answer.json()) as { readonly active: boolean }).active;
    },
  ],
  [
    "a token to be revoked",
    ["access token", "task token"],
    async ({ text, issued }) => {
      expect((await form("/oauth2/revoke", { token: text })).status).toBe(200);
      const answer = await form("/oauth2/introspect", { token: issued.access_token }, bearer(`deploy-api:${DEPLOY_KEY}`));
      return !((await answer.json()) as { readonly active: boolean }).active;
    },
  ],
  [
    "the token of an authorization question",
    ["access token"],
    async ({ text }) => {
      const answer = await json("/v1/authorize", { token: text, method: "POST", path: "/deploy/a" }, { authorization: BASIC });
      return ((await answer.json()) as { readonly decision?: boolean }).decision === true;
    },
  ],
  [
    "Authorization behind nginx",
    ["access token"],
    ({ text }) =>
      get("/authz/nginx", {
        ...bearer(text),
        "x-stint-verifier-key": `gate:${GATE_KEY}`,
        "x-original-method": "POST",
        "x-original-uri": "/deploy/a",
      }),
  ],
  [
    "Authorization at stint verify-proxy",
    ["access token"],
    async ({ text }) => {
      const url = `http://127.0.0.1:${proxy.address.port}/authz/nginx`;
      return (await fetch(url, { headers: { ...bearer(text), "x-original-method": "POST", "x-original-uri": "/deploy/a" } })).ok;
    },
  ],
  ["stint/verify", ["access token"], ({ text }) => verifier.verify(text).then(Boolean, () => false)],
  [
    "the answer to a request for a status list",
    ["status list token"],
    async ({ text }) => {
      const claims = decodeJwt((await issue("others")).access_token) as unknown as AccessTokenClaims;
      const list = (claims["status"] as { status_list: { uri: string } }).status_list.uri;
      const said = new Response(text, { headers: { "content-type": "application/statuslist+jwt" } });
      const lists = new StatusLists({
        issuer: shop.broker.url,
        log: () => undefined,
        fetch: (url, init) => (url === list ? Promise.resolve(said) : fetch(url, init)),
      });
      return lists.check(claims).then(
        () => true,
        () => false,
      );
    },
  ],
];

const PAIRS = INPUTS.flatMap(([input, takes, taken]) => KINDS.map((kind) => ({ input, kind, belongs: takes.includes(kind), taken })));

describe("what is signed for one purpose, shown for another (RFC 8725 sections 3.11 and 3.12)", () => {
  it("stands in a table of every kind at every input", () => {
    expect(PAIRS.filter(({ belongs }) => !belongs).length).toBeGreaterThanOrEqual(30);
    expect(new Set(INPUTS.flatMap(([, takes]) => takes))).toEqual(new Set(KINDS.slice(0, 5)));
  });

  it.each(PAIRS.filter(({ belongs }) => belongs))("its own: $kind as $input", async ({ kind, taken }) => {
    expect(await taken(await present(kind))).toBe(true);
  });

  it.each(PAIRS.filter(({ belongs }) => !belongs))("refused: $kind as $input", async ({ kind, taken }) => {
    expect(await taken(await present(kind))).toBe(false);
  });
});
