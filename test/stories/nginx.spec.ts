import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { request as httpRequest } from "node:http";
import type { VerifyProxy } from "../../client/verify-proxy/verify-proxy.ts";
import { Secret } from "../../domain/secret.ts";
import { GATE_KEY, openGate, startGateProxy, tokenOf } from "../broker/authorize/gate.ts";
import { blocksIn } from "../docs/pages.ts";
import { aheadClock, until, type AheadClock } from "../support/ahead-clock.ts";
import { describeWith } from "../support/needs.ts";
import { findNginx, startNginx, startUpstream, type Nginx, type Upstream } from "../support/nginx.ts";
import { startRedis } from "../support/redis.ts";
import type { Shop } from "../support/shop.ts";

const withNginx = describeWith("nginx", await findNginx());

/** The snippet of the page on proxies, as it stands, with addresses and key of the test. */
const locations = (asked: string, upstream: string): string =>
  (blocksIn("nginx")[0]?.text ?? "")
    .replace("127.0.0.1:8430", asked)
    .replace("127.0.0.1:9000", upstream)
    .replace("deploy-api:THE-KEY", `gate:${GATE_KEY}`);

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** One request with its path and headers exactly as given. */
function send(port: number, method: string, path: string, headers: Readonly<Record<string, string>> = {}, body = ""): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: "127.0.0.1", port, method, path, headers: { host: "deploy.test", ...headers } }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
    });
    sent.on("error", reject).end(body);
  });
}

const verifyProxy = (url: string, clock: AheadClock, more: { readonly routesCache?: string } = {}): Promise<VerifyProxy> =>
  startGateProxy(url, { metrics: { host: "127.0.0.1", port: 0 }, verifierClock: clock, refreshMs: 200, ...more });

const specs = (asked: string) => (binary: string) => {
  let shop: Shop;
  let upstream: Upstream;
  let proxy: VerifyProxy | undefined;
  let nginx: Nginx;
  beforeAll(async () => {
    shop = await openGate();
    upstream = await startUpstream();
    if (asked !== "the broker itself") {
      proxy = await verifyProxy(shop.broker.url, aheadClock());
      await until(async () => (await fetch(`http://127.0.0.1:${proxy?.address.port}/readyz`)).status === 200);
    }
    const address = proxy === undefined ? new URL(shop.broker.url).host : `127.0.0.1:${proxy.address.port}`;
    nginx = await startNginx(binary, locations(address, upstream.address));
  });
  afterAll(async () => {
    await nginx[Symbol.asyncDispose]();
    await proxy?.[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await shop[Symbol.asyncDispose]();
  });
  const bearer = async (change: Parameters<typeof tokenOf>[1] = {}) => ({ authorization: `Bearer ${(await tokenOf(shop, change)).token}` });
  const last = () => upstream.arrived.at(-1);

  it("lets through what a route allows, body and all, and says who it is", async () => {
    const headers = await bearer();
    const { status, body } = await send(nginx.port, "POST", "/deploy/prod?x=%2f", headers, "version=7");
    expect({ status, body }).toEqual({ status: 200, body: "deployed" });
    expect(last()).toMatchObject({ method: "POST", url: "/deploy/prod?x=%2f", body: "version=7" });
    expect(last()?.headers).toMatchObject({
      "x-stint-subject": "github:456789",
      "x-stint-scope": "deploy:read deploy:write",
      "x-stint-lease": expect.stringMatching(/^lease_/),
      "x-stint-task": expect.stringMatching(/^task_/),
      "x-stint-decision-id": expect.stringMatching(/^evt_/),
    });
  });

  it("answers 401 and the challenge to whoever has no token, or a bad one", async () => {
    const before = upstream.arrived.length;
    const none = await send(nginx.port, "POST", "/deploy/prod");
    expect({ status: none.status, challenge: none.headers["www-authenticate"] }).toEqual({
      status: 401,
      challenge: 'Bearer realm="https://deploy.shop.test", scope="deploy:write"',
    });
    for (const authorization of ["Bearer a.b.c", "Bearer ", `${(await bearer()).authorization.slice(0, -4)}AAAA`]) {
      const { status, headers } = await send(nginx.port, "POST", "/deploy/prod", { authorization });
      expect({ status, challenge: headers["www-authenticate"] }).toEqual({
        status: 401,
        challenge: expect.stringMatching(/error="invalid_/),
      });
    }
    expect(upstream.arrived).toHaveLength(before);
  });

  it("answers 403 where no route allows it, and shows the id of the denial", async () => {
    const before = upstream.arrived.length;
    for (const [method, path] of [
      ["DELETE", "/deploy/prod"],
      ["GET", "/secrets"],
      ["HEAD", "/context"],
    ] as const) {
      const { status, headers } = await send(nginx.port, method, path, await bearer());
      expect({ status, decision: headers["x-stint-decision-id"] }).toEqual({ status: 403, decision: expect.stringMatching(/^den_/) });
    }
    expect((await send(nginx.port, "POST", "/deploy/prod", await bearer({ scope: ["deploy:read"] }))).status).toBe(403);
    expect((await send(nginx.port, "POST", "/deploy/prod", await bearer({ purpose: "" }))).status).toBe(403);
    expect(upstream.arrived).toHaveLength(before);
  });

  it.each([
    "/deploy%2fprod",
    "/deploy/..%2fsecrets",
    "/deploy/%2e%2e/secrets",
    "/deploy/./prod",
    "/deploy//prod",
    "//deploy/prod",
    "/deploy/prod;x=1",
    "/deploy/..;/secrets",
    "/deploy%5c..%5csecrets",
    "/deploy\\..\\secrets",
    "/deploy/%252e%252e/secrets",
    "/deploy/%c0%ae%c0%ae/secrets",
    "/deploy/%ef%bc%8fsecrets",
    "/deploy/a%0d%0ab",
  ])("never hands on a path that can be read in two ways: %s", async (path) => {
    const before = upstream.arrived.length;
    const { status } = await send(nginx.port, "POST", path, await bearer());
    expect([400, 403]).toContain(status);
    expect(upstream.arrived).toHaveLength(before);
  });

  it("replaces what a client claims to be, and is not led to ask about another request", async () => {
    const headers = await bearer();
    const spoofed = {
      ...headers,
      "x-stint-subject": "github:1",
      "x-stint-workload": "root",
      "x-stint-task": "task_1",
      "x-stint-lease": "lease_1",
      "x-stint-scope": "admin",
      "x-stint-decision-id": "evt_1",
      "x-stint-verifier-key": "bare:bare-key",
      "x-original-uri": "/deploy/prod",
      "x-original-method": "POST",
      "x-original-host": "elsewhere",
      "x-forwarded-uri": "/deploy/prod",
      "x-forwarded-for": "127.0.0.1",
      "x-rewrite-url": "/deploy/prod",
    };
    expect((await send(nginx.port, "GET", "/secrets", spoofed)).status).toBe(403);
    expect((await send(nginx.port, "POST", "/deploy/prod", spoofed)).status).toBe(200);
    const seen = last()?.headers ?? {};
    for (const name of ["subject", "workload", "task", "lease", "scope", "decision-id"])
      expect(seen[`x-stint-${name}`]).not.toBe(spoofed[`x-stint-${name}` as keyof typeof spoofed]);
    expect(seen["x-stint-subject"]).toBe("github:456789");
  });

  it("refuses a token that is revoked while it is in use, and no other", async () => {
    const mine = await bearer();
    const other = await bearer();
    expect((await send(nginx.port, "POST", "/deploy/prod", mine)).status).toBe(200);
    await shop.broker.services.tokens.revoke(new Secret(mine.authorization.slice(7)), { ip: "", traceId: "", route: "" });
    await until(async () => (await send(nginx.port, "POST", "/deploy/prod", mine)).status === 401);
    expect((await send(nginx.port, "POST", "/deploy/prod", other)).status).toBe(200);
  });
};
for (const asked of ["the broker itself", "stint verify-proxy"]) withNginx(`nginx that asks ${asked}`, specs(asked));

withNginx("nginx while the broker is away", (binary) => {
  it("that asks the broker lets nothing through", async () => {
    await using upstream = await startUpstream();
    const shop = await openGate();
    await using nginx = await startNginx(binary, locations(new URL(shop.broker.url).host, upstream.address));
    const authorization = `Bearer ${(await tokenOf(shop)).token}`;
    expect((await send(nginx.port, "POST", "/deploy/prod", { authorization })).status).toBe(200);
    await shop[Symbol.asyncDispose]();
    expect((await send(nginx.port, "POST", "/deploy/prod", { authorization })).status).toBe(500);
    expect(upstream.arrived).toHaveLength(1);
  });

  it("that asks stint verify-proxy goes on until what that knows is too old, then refuses, and recovers by itself", async () => {
    await using upstream = await startUpstream();
    await using redis = await startRedis();
    const shop = await openGate({ redis });
    const { url, masterKey } = shop.broker;
    const clock = aheadClock();
    await using proxy = await verifyProxy(url, clock);
    const ready = async () => (await fetch(`http://127.0.0.1:${proxy.address.port}/readyz`)).status === 200;
    await until(ready);
    await using nginx = await startNginx(binary, locations(`127.0.0.1:${proxy.address.port}`, upstream.address));
    const authorization = `Bearer ${(await tokenOf(shop)).token}`;
    const status = async () => (await send(nginx.port, "POST", "/deploy/prod", { authorization })).status;
    expect(await status()).toBe(200);
    await shop[Symbol.asyncDispose]();
    clock.move(10_000);
    expect(await status()).toBe(200);
    clock.move(6_000);
    expect(await status()).toBe(403);
    expect(await ready()).toBe(false);
    await using again = await openGate({ redis, url, masterKey });
    await until(async () => (await status()) === 200);
    expect(again.broker.url).toBe(url);
  });
});
