import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import express from "express";
import type { AddressInfo } from "node:net";
import { exactActions, type ExactActionsOptions } from "../../../client/actions/index.ts";
import { protect } from "../../../client/verify/express.ts";
import { GATE_KEY, openGate, tokenOf } from "../../broker/authorize/gate.ts";
import type { Shop } from "../../support/shop.ts";

let shop: Shop;
beforeAll(async () => {
  shop = await openGate();
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
});

/** An API of one handler behind protect and the routes. */
async function startApi(more: Partial<ExactActionsOptions> = {}) {
  const known = { issuer: shop.broker.url, name: "gate", key: GATE_KEY };
  const guard = protect({ ...known, audience: "https://deploy.shop.test", log: () => undefined });
  await guard.verifier.ready();
  const actions = await exactActions({ ...known, ...more });
  const app = express();
  app.use(guard as express.RequestHandler, actions.middleware as express.RequestHandler);
  app.use((request, response) => void response.json({ path: request.path }));
  app.use(
    (error: Error, _request: express.Request, response: express.Response, _next: express.NextFunction) =>
      void response.status(500).end(error.message),
  );
  const server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    ask: (method: string, path: string, token: string) => fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${token}` } }),
    async [Symbol.asyncDispose]() {
      actions.close();
      await guard.verifier.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe("exactActions behind protect", () => {
  it("lets through what a route allows and answers the rest, with the reasons in the log", async () => {
    const logged: unknown[] = [];
    await using api = await startApi({ log: (event, facts) => void (event === "denied" && logged.push(facts)) });
    const { token } = await tokenOf(shop);
    const { token: narrow } = await tokenOf(shop, { scope: ["deploy:read"] });
    expect((await api.ask("POST", "/deploy/prod?x=1", token)).status).toBe(200);
    const denied = await api.ask("DELETE", "/deploy/prod", token);
    const id = denied.headers.get("x-stint-decision-id");
    expect({ status: denied.status, body: await denied.json() }).toMatchObject({
      status: 403,
      body: { code: "not_permitted", denial_id: id },
    });
    expect(logged.at(-1)).toMatchObject({ denial_id: id, code: "not_permitted", subject: "github:456789" });
    const scope = await api.ask("POST", "/deploy/prod", narrow);
    expect({ status: scope.status, challenge: scope.headers.get("www-authenticate") }).toEqual({
      status: 403,
      challenge: 'Bearer realm="https://deploy.shop.test", scope="deploy:write", error="insufficient_scope"',
    });
    expect((await api.ask("POST", "/deploy%2fprod", token)).status).toBe(403);
    expect((await api.ask("POST", "/deploy/prod", "a.b.c")).status).toBe(401);
  });

  it("gives a route's when the context that the API makes", async () => {
    await using api = await startApi({ contextOf: () => ({ env: "prod" }) });
    const { token } = await tokenOf(shop);
    // the route also wants the host deploy.test, which this is not
    expect((await api.ask("GET", "/context", token)).status).toBe(403);
  });

  it("answers 503 while it has never had the routes", async () => {
    await using api = await startApi({ fetch: () => Promise.reject(new TypeError("fetch failed")) });
    expect((await api.ask("POST", "/deploy/prod", (await tokenOf(shop)).token)).status).toBe(503);
  });

  it("passes an error on where protect does not stand before it, and lets nothing through", async () => {
    const { middleware, close } = await exactActions({ issuer: shop.broker.url, name: "gate", key: GATE_KEY });
    let passed: unknown;
    await middleware({ method: "GET", url: "/", headers: {}, rawHeaders: [] }, {} as never, (error) => (passed = error));
    close();
    expect(passed).toMatchObject({ message: expect.stringContaining("protect()") });
  });
});
