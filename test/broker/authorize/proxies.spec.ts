import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { request as httpRequest } from "node:http";
import { StintError } from "../../../domain/errors.ts";
import { startHttp } from "../../support/http.ts";
import { CREDENTIAL } from "../../support/memory-services.ts";
import type { Shop } from "../../support/shop.ts";
import { GATE_KEY, openGate, tokenOf } from "./gate.ts";

let shop: Shop;
let token: string;
let leaseId: string;
beforeAll(async () => {
  shop = await openGate();
  ({ token, leaseId } = await tokenOf(shop));
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** One request as a proxy writes it: nothing of its path or headers is touched on the way. */
function send(url: string, method: string, path: string, headers: Readonly<Record<string, string | string[]>>): Promise<Answer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method, path, headers }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    sent.on("error", reject).end();
  });
}

const KEY = { "x-stint-verifier-key": `gate:${GATE_KEY}` };
const bearer = (): Record<string, string> => ({ authorization: `Bearer ${token}` });
type Ask = (method: string, path: string, headers?: Readonly<Record<string, string | string[]>>) => Promise<Answer>;
/** As each proxy asks, by its own documentation. */
const ASK: Readonly<Record<string, (url: string) => Ask>> = {
  nginx:
    (url) =>
    (method, path, headers = {}) =>
      send(url, "GET", "/authz/nginx", {
        ...KEY,
        "x-original-method": method,
        "x-original-uri": path,
        "x-original-host": "deploy.test",
        ...headers,
      }),
  envoy:
    (url) =>
    (method, path, headers = {}) =>
      send(url, method, `/authz/envoy${path}`, { ...KEY, host: "deploy.test", "content-length": "0", ...headers }),
  traefik:
    (url) =>
    (method, path, headers = {}) =>
      send(url, "GET", "/authz/traefik", {
        ...KEY,
        "x-forwarded-method": method,
        "x-forwarded-proto": "https",
        "x-forwarded-host": "deploy.test",
        "x-forwarded-uri": path,
        "x-forwarded-for": "203.0.113.9",
        ...headers,
      }),
};
const proxies = Object.entries(ASK).map(([name, make]) => ({
  name,
  make,
  ask: (...args: Parameters<Ask>) => make(shop.broker.url)(...args),
}));

describe.each(proxies)("$name", ({ name, make, ask }) => {
  it("is answered 200 with who it is where the routes allow it, and an empty body", async () => {
    const { status, headers, body } = await ask("POST", "/deploy/prod?x=1", bearer());
    expect({ status, body }).toEqual({ status: 200, body: "" });
    expect(headers).toMatchObject({
      "x-stint-subject": "github:456789",
      "x-stint-lease": leaseId,
      "x-stint-task": expect.stringMatching(/^task_/),
      "x-stint-scope": "deploy:read deploy:write",
      "x-stint-decision-id": expect.stringMatching(/^evt_/),
    });
    expect(headers).toHaveProperty("x-stint-workload");
  });

  it("is answered 401 and a challenge without an error where there is no token; it names the scope of the route", async () => {
    const { status, headers } = await ask("POST", "/deploy/prod");
    expect({ status, challenge: headers["www-authenticate"] }).toEqual({
      status: 401,
      challenge: 'Bearer realm="https://deploy.shop.test", scope="deploy:write"',
    });
  });

  it.each([["Bearer a.b.c"], ["Bearer "], ["Bearer two tokens"], ["DPoP a.b.c"], [`Bearer ${"x".repeat(17_000)}`]])(
    "is answered 401 and invalid_token for %.20s",
    async (authorization) => {
      const { status, headers } = await ask("POST", "/deploy/prod", { authorization });
      expect({ status, challenge: headers["www-authenticate"] }).toEqual({
        status: 401,
        challenge:
          'Bearer realm="https://deploy.shop.test", error="invalid_token", error_description="the token is not a live one for this audience"',
      });
      expect(headers["x-stint-decision-id"]).toMatch(/^den_/);
    },
  );

  it("is answered 403 with the denial's id where no route allows it", async () => {
    const { status, headers, body } = await ask("DELETE", "/deploy/prod", bearer());
    expect({ status, error: headers["x-stint-error"] }).toEqual({ status: 403, error: "not_permitted" });
    expect(JSON.parse(body)).toMatchObject({ status: 403, code: "not_permitted", denial_id: headers["x-stint-decision-id"] });
    expect(headers).not.toHaveProperty("x-stint-subject");
  });

  it("is answered 403 and all needed scopes where the token has too few", async () => {
    const { token: narrow } = await tokenOf(shop, { scope: ["deploy:read"] });
    const { status, headers } = await ask("POST", "/deploy/prod", { authorization: `Bearer ${narrow}` });
    expect({ status, challenge: headers["www-authenticate"] }).toEqual({
      status: 403,
      challenge: 'Bearer realm="https://deploy.shop.test", scope="deploy:write", error="insufficient_scope"',
    });
  });

  it.each([
    "/deploy%2fprod",
    "/deploy/%2e%2e/x",
    "/deploy//prod",
    "/deploy/..;/x",
    "/deploy/a%5cb",
    "/deploy/%252e",
    "/deploy/a%00",
    "//deploy/prod",
  ])("is answered 403 for a path that can be read in two ways: %s", async (path) => {
    const { status, headers } = await ask("POST", path, bearer());
    expect(status).toBe(403);
    expect(["ambiguous_request", "invalid_request"]).toContain(headers["x-stint-error"]);
  });

  it("is answered 403, never 401, without the verifier's key or with a wrong one", async () => {
    for (const key of ["", "gate:wrong", "nobody:x", GATE_KEY.slice(1)]) {
      const { status, headers } = await ask("POST", "/deploy/prod", { ...bearer(), "x-stint-verifier-key": key });
      expect({ status, error: headers["x-stint-error"], challenge: headers["www-authenticate"] }).toEqual({
        status: 403,
        error: "invalid_client",
      });
    }
  });

  it("is not misled by headers of other proxies, nor by a client's own", async () => {
    const spoofed = {
      ...bearer(),
      ...(name === "nginx" ? {} : { "x-original-uri": "/deploy/x", "x-original-method": "POST" }),
      ...(name === "traefik" ? {} : { "x-forwarded-uri": "/deploy/x", "x-forwarded-method": "POST" }),
      "x-original-url": "/deploy/x",
      "x-rewrite-url": "/deploy/x",
      "x-http-method-override": "POST",
      "x-envoy-original-path": "/deploy/x",
      forwarded: "host=deploy.test",
      "x-stint-subject": "github:1",
      "x-stint-verifier": "bare",
    };
    expect((await ask("GET", "/secrets", spoofed)).status).toBe(403);
  });

  it("is answered 403 where two of its headers, or two tokens, could be meant", async () => {
    const twice =
      name === "nginx"
        ? { "x-original-uri": ["/deploy/a", "/deploy/b"] }
        : name === "traefik"
          ? { "x-forwarded-uri": ["/deploy/a", "/b"] }
          : undefined;
    if (twice !== undefined) expect((await ask("POST", "/deploy/a", { ...bearer(), ...twice })).status).toBe(403);
    const { status, headers } = await ask("POST", "/deploy/a", { authorization: [`Bearer ${token}`, "Bearer a.b.c"] });
    expect({ status, error: headers["x-stint-error"] }).toEqual({ status: 403, error: "invalid_request" });
  });

  it("is answered 403 for a token in the URL", async () => {
    const { status, headers } = await ask("POST", `/deploy/prod?access_token=${token}`);
    expect({ status, error: headers["x-stint-error"] }).toEqual({ status: 403, error: "invalid_request" });
  });

  it("is told what it understands while nothing can be decided, and is never told yes", async () => {
    const actions = {
      decide: async (): Promise<never> => {
        throw new StintError("store_unavailable", "the store cannot be reached", { retryAfterSeconds: 3 });
      },
      scopeOf: () => [],
    };
    await using http = await startHttp({ actions });
    const elsewhere = make(http.url);
    const { status, headers } = await elsewhere("POST", "/deploy/prod", {
      authorization: `Bearer ${CREDENTIAL}`,
      "x-stint-verifier-key": "deploy-api:vk-0123456789abcdef",
    });
    expect({ status, error: headers["x-stint-error"], retry: headers["retry-after"] }).toEqual({
      status: name === "nginx" ? 403 : 503,
      error: "store_unavailable",
      retry: "3",
    });
  });
});

describe("a proxy that is too busy", () => {
  it.each([
    ["nginx", 403],
    ["envoy", 503],
    ["traefik", 503],
  ])("%s is told so with %s", async (name, wanted) => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const decide = async () => {
      await held;
      return { allowed: false, code: "invalid_token", message: "no", denialId: undefined } as const;
    };
    await using http = await startHttp({ actions: { decide, scopeOf: () => [] } });
    const ask = ASK[name]?.(http.url);
    const headers = { authorization: `Bearer ${CREDENTIAL}`, "x-stint-verifier-key": "deploy-api:vk-0123456789abcdef" };
    const waiting = Array.from({ length: 1000 }, async () => await ask?.("GET", "/", headers));
    let over: Answer | undefined;
    for (let round = 0; round < 100 && over === undefined; round++) {
      const answer = await Promise.race([
        ask?.("GET", "/", headers),
        new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 20)),
      ]);
      over = answer;
    }
    release();
    await Promise.all(waiting);
    expect({ status: over?.status, error: over?.headers["x-stint-error"] }).toEqual({ status: wanted, error: "overloaded" });
  });
});

describe("a proxy at a trusted address", () => {
  it("may name its verifier in the URL, where the address counts and not what the request says", async () => {
    await using trusting = await startHttp({}, { trustedProxies: ["127.0.0.1"] });
    await using wary = await startHttp({}, { trustedProxies: ["192.0.2.1"] });
    const headers = {
      authorization: `Bearer ${CREDENTIAL}`,
      "x-forwarded-method": "GET",
      "x-forwarded-uri": "/",
      "x-forwarded-for": "192.0.2.1",
    };
    const ask = (url: string, query: string) => send(url, "GET", `/authz/traefik${query}`, headers);
    expect((await ask(trusting.url, "?verifier=deploy-api")).status).toBe(200);
    expect((await ask(trusting.url, "?verifier=nobody")).status).toBe(403);
    expect((await ask(trusting.url, "")).status).toBe(403);
    expect((await ask(wary.url, "?verifier=deploy-api")).status).toBe(403);
    // a client's path behind Envoy's prefix is no configuration
    const envoy = await send(trusting.url, "GET", "/authz/envoy/?verifier=deploy-api", { authorization: `Bearer ${CREDENTIAL}` });
    expect(envoy.status).toBe(403);
  });
});
