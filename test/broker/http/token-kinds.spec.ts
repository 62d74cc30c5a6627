import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { TOKEN_EXCHANGE, TOKEN_TYPES, TokenView } from "../../../domain/wire.ts";
import { DEPLOY_KEY, openShop, type Shop } from "../../support/shop.ts";

type Kind = "evidence" | "access" | "task" | "operator" | "verifier";
type Holder = Readonly<Record<Kind, string>> & { readonly issued: TokenView };
const KINDS: readonly Kind[] = ["evidence", "access", "task", "operator", "verifier"];

let shop: Shop;
beforeAll(async () => {
  shop = await openShop();
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
});

const form = (path: string, body: Record<string, string>, authorization?: string): Promise<Response> =>
  fetch(shop.broker.url + path, {
    method: "POST",
    body: new URLSearchParams(body),
    headers: authorization === undefined ? {} : { authorization },
  });
const exchange = (token: string, type: string): Promise<Response> =>
  form("/oauth2/token", { grant_type: TOKEN_EXCHANGE, scope: "grant:deploy", subject_token: token, subject_token_type: type });
const get = (path: string, token: string): Promise<Response> =>
  fetch(shop.broker.url + path, { headers: { authorization: `Bearer ${token}` } });
const post = (path: string, token: string, body: unknown): Promise<Response> =>
  fetch(shop.broker.url + path, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
  });

async function holder(): Promise<Holder> {
  const issued = TokenView.parse(await (await exchange((await shop.evidence()).reveal(), TOKEN_TYPES.idToken)).json());
  return {
    issued,
    evidence: (await shop.evidence()).reveal(),
    access: issued.access_token,
    task: issued.task_token,
    operator: shop.broker.operators.viewer.reveal(),
    verifier: `deploy-api:${DEPLOY_KEY}`,
  };
}

/** Every input that takes a token, and the kinds that it takes. */
const INPUTS: readonly (readonly [string, readonly Kind[], (token: string, of: TokenView) => Promise<Response>])[] = [
  ["subject_token of type jwt", ["evidence", "task"], (token) => exchange(token, TOKEN_TYPES.jwt)],
  ["subject_token of type id_token", ["evidence"], (token) => exchange(token, TOKEN_TYPES.idToken)],
  ["subject_token of type access_token", [], (token) => exchange(token, TOKEN_TYPES.accessToken)],
  ["a new task", ["evidence"], (token) => post("/v1/tasks", token, {})],
  ["a task's credentials", ["task"], (token, of) => post(`/v1/tasks/${of.task_id}/credentials`, token, { grant: "deploy" })],
  ["a task's heartbeat", ["task"], (token, of) => post(`/v1/tasks/${of.task_id}/heartbeat`, token, {})],
  ["a task's view", ["task", "operator"], (token, of) => get(`/v1/tasks/${of.task_id}`, token)],
  ["a lease's view", ["access", "task", "operator"], (token, of) => get(`/v1/leases/${of.lease_id}`, token)],
  ["a lease's renewal", ["task"], (token, of) => post(`/v1/leases/${of.lease_id}/renew`, token, {})],
  ["who am I", ["evidence", "task", "operator"], (token) => get("/v1/whoami", token)],
  ["the list of leases", ["operator"], (token) => get("/v1/leases", token)],
  ["an introspection's caller", ["verifier"], (token, of) => form("/oauth2/introspect", { token: of.access_token }, `Bearer ${token}`)],
  ["a lease's release", ["access", "task"], (token, of) => post(`/v1/leases/${of.lease_id}/release`, token, {})],
  ["a task's end", ["task"], (token, of) => post(`/v1/tasks/${of.task_id}/complete`, token, { outcome: "success" })],
];

describe("a token of one kind, shown where another is expected (RFC 8725 section 3.11)", () => {
  // Good verifier and operator secrets have been seen once, so that the guessing below slows down nobody else.
  beforeAll(async () => {
    const { operator, verifier, access } = await holder();
    await get("/v1/leases", operator);
    await form("/oauth2/introspect", { token: access }, `Bearer ${verifier}`);
  });

  it.each(INPUTS)("%s takes only its own", async (_name, takes, send) => {
    const taken: Kind[] = [];
    for (const kind of KINDS) {
      const of = await holder();
      const { status } = await send(of[kind], of.issued);
      expect(status).toBeLessThan(500);
      if (status < 300) taken.push(kind);
    }
    expect(taken).toEqual(takes);
  });

  it.each(KINDS)("a token to be introspected is active only as a credential: %s", async (kind) => {
    const of = await holder();
    const response = await form("/oauth2/introspect", { token: of[kind] }, `Bearer ${of.verifier}`);
    expect(response.status).toBe(200);
    expect(((await response.json()) as { active: boolean }).active).toBe(kind === "access");
  });
});
