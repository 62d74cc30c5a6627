import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VerifyProxy, VerifyProxyOptions } from "../../../client/verify-proxy/verify-proxy.ts";
import { GATE_KEY, openGate, startGateProxy, tokenOf } from "../../broker/authorize/gate.ts";
import { aheadClock, until } from "../../support/ahead-clock.ts";
import { freePort } from "../../support/redis.ts";
import type { Shop } from "../../support/shop.ts";
import { startCli } from "../cli/run-cli.ts";

let shop: Shop;
let folder: string;
beforeAll(async () => {
  shop = await openGate();
  folder = await mkdtemp(join(tmpdir(), "stint-verify-proxy-"));
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

interface Logged {
  readonly event: string;
  readonly [fact: string]: unknown;
}
interface Started extends AsyncDisposable {
  readonly proxy: VerifyProxy;
  readonly logged: Logged[];
  ask(path: string, headers?: Readonly<Record<string, string>>, method?: string): Promise<Response>;
}

async function start(more: Partial<VerifyProxyOptions> = {}): Promise<Started> {
  const logged: Logged[] = [];
  const proxy = await startGateProxy(shop.broker.url, {
    log: (event, facts) => void logged.push({ event, ...facts }),
    refreshMs: 50,
    ...more,
  });
  return {
    proxy,
    logged,
    ask: (path, headers = {}, method = "GET") =>
      fetch(`http://127.0.0.1:${proxy.address.port}${path}`, { method, headers, redirect: "manual" }),
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  };
}
const ready = (started: Started) => until(async () => (await started.ask("/readyz")).status === 200);
const traefik = (method: string, uri: string) => ({
  "x-forwarded-method": method,
  "x-forwarded-uri": uri,
  "x-forwarded-host": "deploy.test",
});

describe("stint verify-proxy", () => {
  it("speaks to nginx, Envoy and Traefik as the broker does", async () => {
    await using started = await start();
    await ready(started);
    const authorization = `Bearer ${(await tokenOf(shop)).token}`;
    const answers = await Promise.all([
      started.ask("/authz/nginx", { authorization, "x-original-method": "POST", "x-original-uri": "/deploy/a" }),
      started.ask("/authz/envoy/deploy/a?x=1", { authorization }, "POST"),
      started.ask("/authz/traefik?verifier=gate", { authorization, ...traefik("POST", "/deploy/a") }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    for (const { headers } of answers) expect(headers.get("x-stint-subject")).toBe("github:456789");
    const denied = await started.ask("/authz/envoy/deploy/a", { authorization }, "DELETE");
    expect({ status: denied.status, error: denied.headers.get("x-stint-error") }).toEqual({ status: 403, error: "not_permitted" });
  });

  it("explains each denial at the broker and in its log, under the id that the client was shown, and never logs a token", async () => {
    await using started = await start();
    await ready(started);
    const { token, leaseId } = await tokenOf(shop, { scope: ["deploy:read"] });
    const answer = await started.ask("/authz/traefik", { authorization: `Bearer ${token}`, ...traefik("POST", "/deploy/a") });
    expect(answer.headers.get("www-authenticate")).toBe(
      'Bearer realm="https://deploy.shop.test", scope="deploy:write", error="insufficient_scope", error_description="the token\'s scope is too small"',
    );
    expect(started.logged.filter(({ event }) => event === "denied")).toEqual([
      {
        event: "denied",
        denial_id: answer.headers.get("x-stint-decision-id"),
        code: "insufficient_scope",
        rule: "gate.routes[1]",
        policy: expect.stringMatching(/^sha256:/),
        nearest: { rule: "gate.routes[1]", held: 3, of: 4, change: ['scope: "deploy:read" must be deploy:write'] },
        subject: "github:456789",
        lease_id: leaseId,
        method: "POST",
        explained: "broker",
      },
    ]);
    const id = answer.headers.get("x-stint-decision-id") ?? "";
    const explained = await fetch(`${shop.broker.url}/v1/denials/${id}`, {
      headers: { authorization: `Bearer ${shop.broker.operators.viewer.reveal()}` },
    });
    expect([explained.status, await explained.json()]).toEqual([200, expect.objectContaining({ id, code: "insufficient_scope" })]);
    expect(JSON.stringify(started.logged)).not.toContain(token);
    expect(JSON.stringify(started.logged)).not.toContain(GATE_KEY);
  });

  it("denies without the broker as well, under an id of its own, and soon without asking for another", async () => {
    let asked = 0;
    const deaf: typeof fetch = (input, init) => {
      if (!(input instanceof Request ? input.url : input.toString()).endsWith("/v1/authorize")) return fetch(input, init);
      asked += 1;
      return Promise.reject(new TypeError("fetch failed"));
    };
    await using started = await start({ fetch: deaf });
    await ready(started);
    const authorization = `Bearer ${(await tokenOf(shop)).token}`;
    const answers = [];
    for (const path of ["/nowhere", "/elsewhere"])
      answers.push(await started.ask("/authz/traefik", { authorization, ...traefik("POST", path) }));
    const ids = answers.map(({ headers }) => headers.get("x-stint-decision-id"));
    expect(answers.map(({ status }) => status)).toEqual([403, 403]);
    expect(ids).toEqual([expect.stringMatching(/^den_/), expect.stringMatching(/^den_/)]);
    const said = started.logged.filter(({ event }) => event === "denied");
    expect(said.map(({ denial_id: id, explained }) => [id, explained])).toEqual(ids.map((id) => [id, "here"]));
    expect(asked).toBe(1);
  });

  it("starts from its kept routes while the broker is away, answers that it cannot decide, and is ready once it is back", async () => {
    const routesCache = join(folder, "cache", "routes.json");
    {
      await using first = await start({ routesCache });
      await ready(first);
    }
    expect(JSON.parse(await readFile(routesCache, "utf8"))).toMatchObject({ verifier: "gate" });
    let away = true;
    const { fetch: real } = globalThis;
    const sometimes: typeof fetch = (input, init) => (away ? Promise.reject(new TypeError("fetch failed")) : real(input, init));
    await using second = await start({ routesCache, fetch: sometimes });
    expect(second.logged.map(({ event }) => event)).toEqual(expect.arrayContaining(["routes_failed", "routes_restored"]));
    const authorization = `Bearer ${(await tokenOf(shop)).token}`;
    const question = { authorization, ...traefik("POST", "/deploy/a") };
    expect((await second.ask("/authz/traefik", question)).status).toBe(503);
    expect((await second.ask("/authz/nginx", { authorization, "x-original-method": "POST", "x-original-uri": "/deploy/a" })).status).toBe(
      403,
    );
    expect((await second.ask("/readyz")).status).toBe(503);
    expect((await second.ask("/healthz")).status).toBe(200);
    away = false;
    await until(async () => (await second.ask("/authz/traefik", question)).status === 200);
  });

  it.each([
    ["nothing", ""],
    ["the routes of another", '{"verifier":"other","issuer":"x","audience":"x","policy":"","routes":[]}'],
    ["routes that cannot be used", `{"verifier":"gate","issuer":"URL","audience":"x","policy":"","routes":[{"path":"/../x"}]}`],
  ])("lets nothing through on a cache that holds %s", async (_, text) => {
    const routesCache = join(folder, "broken.json");
    await writeFile(routesCache, text.replace("URL", shop.broker.url));
    await using started = await start({ routesCache, fetch: () => Promise.reject(new TypeError("fetch failed")) });
    expect(started.logged.map(({ event }) => event)).toContain("routes_not_restored");
    const answer = await started.ask("/authz/traefik", traefik("GET", "/"));
    expect({ status: answer.status, error: answer.headers.get("x-stint-error") }).toEqual({ status: 503, error: "not_ready" });
  });

  it("refuses everything when its knowledge is too old, though the routes are there", async () => {
    const clock = aheadClock();
    let cut = false;
    const cutOff: typeof fetch = (input, init) => (cut ? Promise.reject(new TypeError("fetch failed")) : fetch(input, init));
    await using started = await start({ verifierClock: clock, fetch: cutOff, metrics: { host: "127.0.0.1", port: 0 } });
    await ready(started);
    cut = true;
    clock.move(3_600_000);
    const authorization = `Bearer ${(await tokenOf(shop)).token}`;
    const { status } = await started.ask("/authz/traefik", { authorization, ...traefik("POST", "/deploy/a") });
    expect([401, 503]).toContain(status);
    const metrics = await (await fetch(`http://127.0.0.1:${started.proxy.metrics?.port}/metrics`)).text();
    expect(metrics).toMatch(/^stint_verify_proxy_answers_total\{proxy="traefik",outcome="\w+"\} 1$/m);
    expect(metrics).toMatch(/^stint_verify_proxy_staleness_seconds \d/m);
  });

  it("runs from the command line until it is told to stop, and says what is missing", async () => {
    const port = await freePort();
    const args = ["verify-proxy", "--verifier", "gate", "--listen", `127.0.0.1:${port}`, "--url", shop.broker.url];
    const running = startCli(args, { STINT_VERIFIER_KEY: GATE_KEY });
    await running.says('"event":"listening"');
    await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200);
    running.kill("SIGTERM");
    expect(await running.done).toMatchObject({ code: 0, signal: null });
    expect(await startCli(args).done).toMatchObject({ code: 2, err: expect.stringContaining("STINT_VERIFIER_KEY_FILE") });
    expect(await startCli(["verify-proxy"], { STINT_VERIFIER_KEY: "x" }).done).toMatchObject({
      code: 2,
      err: expect.stringContaining("--verifier NAME"),
    });
    const bad = startCli([...args, "--listen", "nowhere"], { STINT_VERIFIER_KEY: "x" });
    expect(await bad.done).toMatchObject({ code: 2, err: expect.stringContaining("--listen") });
  });
});
