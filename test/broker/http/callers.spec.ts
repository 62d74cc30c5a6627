import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { clientAddress } from "../../../broker/http/client-address.ts";
import { parseTraceparent } from "../../../broker/http/trace.ts";
import type { IncomingMessage } from "node:http";
import { startHttp, type TestHttp } from "../../support/http.ts";
import { CREDENTIAL, EVIDENCE, LEASE_ID, OPERATORS, TASK_ID, TASK_TOKEN, VERIFIER } from "../../support/memory-services.ts";

let http: TestHttp;
beforeEach(async () => {
  http = await startHttp();
});
afterEach(() => http.close());
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const leases = (token: string): Promise<Response> => http.fetch("/v1/leases", { headers: bearer(token) });

describe("guessing operator tokens", () => {
  it("is slowed down after ten failures, with Retry-After, until the minute is over", async () => {
    for (let guess = 0; guess < 10; guess++) expect((await leases(`guess-${guess}`)).status).toBe(401);
    const refused = await leases("guess-11");
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "60"]);
    expect((await leases(OPERATORS.viewer)).status).toBe(429);
    http.clock.advance({ seconds: 61 });
    expect((await leases(OPERATORS.viewer)).status).toBe(200);
  });

  it("never locks out a token that has worked before", async () => {
    expect((await leases(OPERATORS.responder)).status).toBe(200);
    for (let guess = 0; guess < 12; guess++) await leases(`guess-${guess}`);
    expect((await leases("guess-13")).status).toBe(429);
    expect((await leases(OPERATORS.responder)).status).toBe(200);
  });

  it("counts at every door: a holder's route, whoami and introspection too", async () => {
    expect((await leases("guess")).status).toBe(401);
    for (let guess = 0; guess < 3; guess++) {
      expect((await http.fetch("/v1/whoami", { headers: bearer(`guess-${guess}`) })).status).toBe(401);
      expect((await http.fetch(`/v1/leases/${LEASE_ID}`, { headers: bearer(`guess-${guess}`) })).status).toBe(401);
      expect((await http.form("/oauth2/introspect", { token: CREDENTIAL }, bearer(`${VERIFIER.name}:guess-${guess}`))).status).toBe(401);
    }
    expect((await leases("guess")).status).toBe(429);
    const introspect = await http.form("/oauth2/introspect", { token: CREDENTIAL, client_id: VERIFIER.name, client_secret: "guess" });
    expect([introspect.status, ((await introspect.json()) as { error: string }).error]).toEqual([429, "temporarily_unavailable"]);
  });

  it("does not count what tasks and workloads send", async () => {
    for (let request = 0; request < 15; request++)
      expect((await http.fetch(`/v1/leases/${LEASE_ID}`, { headers: bearer("foreign.task.token") })).status).toBe(404);
    expect((await http.fetch(`/v1/tasks/${TASK_ID}`, { headers: bearer(TASK_TOKEN) })).status).toBe(200);
  });
});

describe("a token", () => {
  it.each([
    { name: "of another scheme", header: "Basic eDp5" },
    { name: "with a space", header: "Bearer a b" },
    { name: "that is empty", header: "Bearer " },
    { name: "outside ASCII", header: "Bearer \u00e9" },
  ])("$name is no token", async ({ header }) => {
    const response = await http.fetch("/v1/whoami", { headers: { authorization: header } });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([401, "unauthenticated"]);
  });

  it("longer than 16 KiB is refused by name", async () => {
    const response = await http.fetch("/v1/whoami", { headers: bearer("x".repeat(16_385)) });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([400, "invalid_request"]);
  });

  it("tells whose it is", async () => {
    expect(await (await http.fetch("/v1/whoami", { headers: bearer(EVIDENCE) })).json()).toMatchObject({
      kind: "workload",
      subject: "github:456789",
      grants: ["deploy-prod"],
    });
    expect(await (await http.fetch("/v1/whoami", { headers: bearer(OPERATORS.viewer) })).json()).toEqual({
      kind: "operator",
      name: "vera",
      role: "viewer",
    });
    expect((await http.fetch("/v1/whoami", { headers: bearer("x.y.z") })).headers.get("www-authenticate")).toBe(
      'Bearer realm="stint", error="invalid_token"',
    );
  });
});

describe("a trace", () => {
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;
  it("of a stranger is linked to in the log, and a new one begun", async () => {
    const response = await http.fetch("/livez", { headers: { traceparent } });
    expect(response.headers.get("x-stint-trace-id")).toMatch(/^(?!4bf92f)[0-9a-f]{32}$/);
    expect(http.served.at(-1)).toMatchObject({ linkedTrace: traceId, traceId: response.headers.get("x-stint-trace-id") });
  });
  it("of a known operator goes on", async () => {
    const response = await http.fetch("/v1/locks", { headers: { ...bearer(OPERATORS.viewer), traceparent } });
    expect(response.headers.get("x-stint-trace-id")).toBe(traceId);
    expect(http.served.at(-1)).toMatchObject({ caller: "operator:vera", traceId, linkedTrace: undefined, route: "/v1/locks", status: 200 });
  });
  it.each([
    "01-" + traceparent.slice(3),
    traceparent.toUpperCase(),
    traceparent + "-x",
    `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
    `00-${traceId}-${"0".repeat(16)}-01`,
    "",
    "x",
  ])("is not read from %s", (header) => {
    expect(parseTraceparent(header)).toBeUndefined();
  });
});

describe("the address of a caller", () => {
  const from = (peer: string, forwarded?: string): IncomingMessage =>
    ({
      socket: { remoteAddress: peer },
      headers: forwarded === undefined ? {} : { "x-forwarded-for": forwarded },
    }) as unknown as IncomingMessage;
  const addressOf = clientAddress(["10.0.0.0/8", "fd00::1"]);
  it.each([
    { name: "is the peer where nothing was forwarded", peer: "192.0.2.1", forwarded: undefined, is: "192.0.2.1" },
    { name: "is the peer whatever a stranger says", peer: "192.0.2.1", forwarded: "198.51.100.7", is: "192.0.2.1" },
    { name: "is what our proxy saw", peer: "10.1.2.3", forwarded: "198.51.100.7", is: "198.51.100.7" },
    {
      name: "is what the outermost of our proxies saw, not what it was told",
      peer: "::ffff:10.1.2.3",
      forwarded: "1.1.1.1, 198.51.100.7, 10.9.9.9",
      is: "198.51.100.7",
    },
    { name: "is the proxy's where it wrote nonsense", peer: "10.1.2.3", forwarded: "unknown", is: "10.1.2.3" },
    { name: "works over IPv6", peer: "fd00::1", forwarded: "2001:db8::7", is: "2001:db8::7" },
  ])("$name", ({ peer, forwarded, is }) => {
    expect(addressOf(from(peer, forwarded))).toBe(is);
  });
  it("of a proxy must be one", () => {
    expect(() => clientAddress(["proxy.internal"])).toThrow(new TypeError("proxy.internal is no address"));
  });
  it("is not changed by headers that pretend to be a proxy's", async () => {
    await http.fetch("/livez", {
      headers: {
        "x-forwarded-for": "203.0.113.1",
        forwarded: "for=203.0.113.1",
        "x-real-ip": "203.0.113.1",
        "x-forwarded-host": "evil.example",
        "x-original-url": "/v1/keys",
      },
    });
    expect(http.served.at(-1)).toMatchObject({ ip: "127.0.0.1", route: "/livez", status: 200 });
  });
});
