import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { decodeJwt } from "jose";
import { createClient, fixedIdentity, type Stint } from "../../client/index.ts";
import { createVerifier, dpop, protect, type Verifier } from "../../client/verify/index.ts";
import { DEPLOY, openShop, type Shop } from "../support/shop.ts";

const API = "https://deploy.shop.test";
let shop: Shop;
let verifier: Verifier;
let handle: (request: Request) => Promise<Response>;
let asked = 0;

/** Requests for the API go to its handler, all others to the broker. */
const network = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
  const url = input instanceof Request ? input.url : String(input);
  if (!url.startsWith(API)) return fetch(input, init);
  asked += 1;
  return handle(new Request(url, init));
};

beforeAll(async () => {
  shop = await openShop();
  verifier = createVerifier({
    issuer: shop.broker.url,
    audience: DEPLOY,
    revocation: "none",
    log: () => undefined,
    confirmations: [dpop({ origin: API, nonce: true })],
  });
  await verifier.ready();
  handle = protect(verifier, (_request, { payload }) => new Response(payload.lease_id));
});
afterAll(async () => {
  await verifier.close();
  await shop[Symbol.asyncDispose]();
});

const client = async (change: { readonly dpop?: boolean } = { dpop: true }): Promise<Stint> =>
  createClient({ url: shop.broker.url, identity: fixedIdentity((await shop.evidence()).reveal()), fetch: network, ...change });

describe("a client with dpop", () => {
  it("binds what it gets, meets every nonce by itself, and opens with it", async () => {
    const stint = await client();
    const credential = await stint.request("deploy");
    expect([credential.isBound, decodeJwt(credential.value)["cnf"]]).toEqual([true, { jkt: expect.any(String) }]);
    const before = asked;
    expect(await (await credential.fetch(`${API}/x?y`, { method: "POST", body: "z" })).text()).toBe(credential.leaseId);
    expect(asked - before).toBe(2);
    expect((await credential.fetch(`${API}/x`)).status).toBe(200);
    expect(asked - before).toBe(3);
    const stolen = await handle(new Request(`${API}/x`, { headers: { authorization: `Bearer ${credential.value}` } }));
    expect(stolen.status).toBe(401);
    expect(() => credential.header()).toThrow("use headers(method, url)");
    await credential.release();
  });

  it("does everything with a bound task", async () => {
    const stint = await client();
    await using task = await stint.task("release");
    expect(decodeJwt(task.token)["cnf"]).toEqual({ jkt: expect.any(String) });
    const credential = await task.credential("deploy");
    const renewed = await credential.renew();
    expect([renewed.leaseId, renewed.isBound]).toEqual([credential.leaseId, true]);
    expect((await task.complete()).settled).toBe(true);
    const bare = await client({});
    await expect(bare.broker.task(task.id, task.token)).rejects.toMatchObject({ name: "IdentityError", code: "binding_mismatch" });
  });

  it("is the only one that binds", async () => {
    const credential = await (await client({})).request("deploy");
    expect([credential.isBound, credential.header()]).toEqual([false, { authorization: `Bearer ${credential.value}` }]);
    expect((await credential.fetch(`${API}/x`)).status).toBe(200);
  });
});
