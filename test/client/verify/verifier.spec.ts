import { describe, expect, it } from "@jest/globals";
import { BoundedCache } from "../../../client/verify/cache.ts";
import { Freshness } from "../../../client/verify/freshness.ts";
import {
  type Confirmation,
  type VerifierLogEntry,
  VerifyError,
  createTestIssuer,
  createVerifier,
  protect,
} from "../../../client/verify/index.ts";
import { Marks } from "../../../client/verify/marks.ts";
import { backoffMs } from "../../../client/verify/backoff.ts";
import { startFeedServer } from "../../support/feed-server.ts";
import { movingClock, until } from "./moving-clock.ts";

const quiet = { log: () => undefined };

describe("a web-standard handler behind protect", () => {
  it("is called with what was verified, or not at all", async () => {
    await using idp = await createTestIssuer();
    await using verifier = createVerifier({ ...idp.options, ...quiet });
    const handle = protect(verifier, (_request, { payload }) => Response.json({ sub: payload.sub }), { scope: ["a", "b"], realm: "r" });
    await verifier.ready();
    const ask = (token?: string): Promise<Response> =>
      handle(new Request("https://api.test/x", token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }));
    expect(await (await ask(await idp.token({ scope: "a b" }))).json()).toEqual({ sub: "test:1" });
    const [none, small] = [await ask(), await ask(await idp.token({ scope: "a" }))];
    expect([none.status, none.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="r"']);
    expect([small.status, small.headers.get("www-authenticate")]).toEqual([
      403,
      'Bearer realm="r", scope="a b", error="insufficient_scope", error_description="the token\'s scope is too small"',
    ]);
    const url = await handle(new Request("https://api.test/x?access_token=a"));
    expect(url.status).toBe(400);
  });
});

describe("proofs of possession", () => {
  const confirmation: Confirmation = {
    method: "jkt",
    scheme: "DPoP",
    challenge: { algs: "ES256" },
    confirm: ({ expected, presentation }) => {
      if (presentation.header?.("dpop") !== `proof-of-${expected}`)
        throw new VerifyError("proof_needed", {
          scheme: "DPoP",
          challenge: { algs: "ES256" },
          error: "use_dpop_nonce",
          headers: { "dpop-nonce": "n1" },
        });
      return { "dpop-nonce": "n2" };
    },
  };

  it("are asked for on every request, in their own scheme, and answer with their own challenge", async () => {
    await using idp = await createTestIssuer();
    await using verifier = createVerifier({ ...idp.options, ...quiet, confirmations: [confirmation] });
    await verifier.ready();
    const handle = protect(verifier, () => new Response("in"), { realm: "r", errors: "minimal" });
    const [bound, bare] = [await idp.token({ claims: { cnf: { jkt: "k" } } }), await idp.token()];
    const ask = (authorization: string | undefined, dpop = ""): Promise<Response> =>
      handle(new Request("https://api.test/", { headers: { ...(authorization !== undefined && { authorization }), dpop } }));
    const good = await ask(`DPoP ${bound}`, "proof-of-k");
    expect([good.status, good.headers.get("dpop-nonce"), await good.text()]).toEqual([200, "n2", "in"]);
    const wrong = await ask(`DPoP ${bound}`, "proof-of-x");
    expect([wrong.status, wrong.headers.get("www-authenticate"), wrong.headers.get("dpop-nonce")]).toEqual([
      401,
      'DPoP algs="ES256", realm="r", error="use_dpop_nonce"',
      "n1",
    ]);
    const downgraded = await ask(`Bearer ${bound}`, "proof-of-k");
    expect([downgraded.status, downgraded.headers.get("www-authenticate")]).toEqual([
      401,
      'DPoP algs="ES256", realm="r", error="invalid_token"',
    ]);
    expect((await ask(`DPoP ${bare}`)).status).toBe(401);
    expect((await ask(`Bearer ${bare}`)).status).toBe(200);
    expect((await ask(undefined)).headers.get("www-authenticate")).toBe('Bearer realm="r", DPoP realm="r", algs="ES256"');
  });
});

describe("the test issuer", () => {
  it("is enough to test revocation, expiry, rotation and a broker that is gone, without a network", async () => {
    await using idp = await createTestIssuer();
    await using verifier = createVerifier({ ...idp.options, ...quiet });
    await verifier.ready();
    const reason = (token: string): Promise<string> =>
      verifier.verify(token).then(
        () => "honoured",
        (error: unknown) => (error instanceof VerifyError ? error.reason : String(error)),
      );
    const token = await idp.token({ scope: "a" });
    expect(await reason(token)).toBe("honoured");
    await idp.revoke(token);
    expect(await reason(token)).toBe("revoked");
    const short = await idp.token({ ttl: "1m" });
    await idp.advance("59s");
    expect(await reason(short)).toBe("honoured");
    await idp.advance("11m");
    expect(await reason(short)).toBe("expired");
    const marked = await idp.token({ grant: "deploy" });
    await idp.revokeAll("grant", "deploy");
    expect(await reason(marked)).toBe("revoked");
    expect(await reason(await idp.token({ grant: "read" }))).toBe("honoured");
    await idp.advance("5m");
    await idp.rotate({ drop: true });
    expect(await reason(await idp.token())).toBe("honoured");
    const last = await idp.token();
    idp.goDark();
    await idp.advance("16s");
    expect(await reason(last)).toBe("stale");
    idp.comeBack();
    await verifier.ready();
    expect(await reason(last)).toBe("honoured");
  });

  it("answers introspection", async () => {
    await using idp = await createTestIssuer();
    await using verifier = createVerifier({ ...idp.options, ...quiet, revocation: "introspection" });
    const token = await idp.token();
    await verifier.verify(token);
    await idp.revoke(token);
    await expect(verifier.verify(token)).rejects.toMatchObject({ reason: "inactive", status: 401 });
  });
});

describe("introspection", () => {
  it("asks about the same token once at a time, and denies when there is no clear answer", async () => {
    const clock = movingClock();
    await using feed = await startFeedServer({ clock: () => clock.now() });
    await using verifier = createVerifier({
      issuer: feed.url,
      audience: feed.audience,
      name: "api",
      key: "k",
      revocation: "introspection",
      clock,
      ...quiet,
    });
    const token = feed.token();
    await verifier.verify(token);
    expect(feed.calls["/oauth2/introspect"]).toBe(1);
    await Promise.all(Array.from({ length: 10 }, () => verifier.verify(token)));
    expect(feed.calls["/oauth2/introspect"]).toBe(2);
    feed.introspection = "error";
    await expect(verifier.verify(token)).rejects.toMatchObject({
      reason: "introspection_unavailable",
      message: "the issuer cannot be asked about the token: it answered 500",
    });
    feed.introspection = "hang";
    const asked = verifier.verify(token).catch((error: unknown) => error);
    await until(() => feed.calls["/oauth2/introspect"] === 4);
    clock.advance(3_000);
    expect(await asked).toMatchObject({
      reason: "introspection_unavailable",
      message: "the issuer cannot be asked about the token: no answer within 3000 ms",
    });
  });
});

describe("reports of use", () => {
  it("are sent together every ten seconds, alike ones as one, and can be turned off", async () => {
    const clock = movingClock();
    await using feed = await startFeedServer({ clock: () => clock.now() });
    const options = {
      issuer: feed.url,
      audience: feed.audience,
      name: "api",
      key: "k",
      instance: "api-1",
      revocation: "introspection" as const,
      clock,
      ...quiet,
    };
    await using verifier = createVerifier(options);
    await using silent = createVerifier({ ...options, reports: false });
    const [lease, expired] = [feed.lease(), feed.lease()];
    const token = feed.token({ lease_id: lease });
    await verifier.verify({ scheme: "Bearer", token, source: "192.0.2.1", route: "GET /x" });
    clock.advance(1_000);
    await verifier.verify({ scheme: "Bearer", token, source: "192.0.2.1", route: "GET /x" });
    await silent.verify(token);
    const old = feed.token({ lease_id: expired, iat: clock.now() / 1000 - 100, exp: clock.now() / 1000 - 60 });
    await expect(verifier.verify(old)).rejects.toMatchObject({ reason: "expired" });
    await expect(verifier.verify("a.b.c")).rejects.toMatchObject({ reason: "malformed" });
    expect(feed.used).toEqual([]);
    const last = clock.now();
    clock.advance(9_000);
    await until(() => feed.used.length === 1);
    expect(feed.used[0]).toEqual({
      instance: "api-1",
      uses: [
        { lease, at: last, outcome: "accepted", count: 2, source: "192.0.2.1", route: "GET /x" },
        { lease: expired, at: last, outcome: "ended", count: 1 },
      ],
    });
  });

  it("are sent a hundred at a time, bounded, and dropped where nobody takes them, without a request waiting", async () => {
    const clock = movingClock();
    await using feed = await startFeedServer({ clock: () => clock.now() });
    const log: VerifierLogEntry[] = [];
    await using verifier = createVerifier({
      issuer: feed.url,
      audience: feed.audience,
      name: "api",
      key: "k",
      revocation: "introspection",
      clock,
      log: (entry) => log.push(entry),
    });
    const token = feed.token();
    for (let count = 0; count < 100; count++) await verifier.verify({ scheme: "Bearer", token, source: `192.0.2.${count}` });
    await until(() => feed.used.length === 1);
    expect(feed.used[0]?.uses).toHaveLength(100);
    await feed.stop();
    await verifier.verify(token).catch(() => undefined);
    for (let count = 0; count < 1_200; count++) verifier.used({ payload: { lease_id: `lease_${count}` } } as never, {});
    expect(verifier.state().reportsDropped).toBeGreaterThan(100);
    await feed.start();
  });
});

describe("the cache of verifications", () => {
  it("never holds more than its bounds, and keeps what is used", () => {
    const cache = new BoundedCache<number>(10, 1_000);
    for (let count = 0; count < 100; count++) {
      cache.set(`k${count}`, count, 10);
      if (cache.get("k0") !== undefined && cache.isAgeing("k0")) cache.set("k0", 0, 10);
      expect(cache.size).toBeLessThanOrEqual(10);
    }
    expect(cache.get("k0")).toBe(0);
    expect(cache.get("k50")).toBeUndefined();
    for (let count = 0; count < 100; count++) {
      cache.set(`b${count}`, count, 200);
      expect(cache.bytes).toBeLessThanOrEqual(1_000);
    }
    cache.set("big", 1, 501);
    expect(cache.get("big")).toBeUndefined();
    cache.clear();
    expect([cache.size, cache.bytes]).toEqual([0, 0]);
  });

  it("counts its bytes down again", () => {
    const cache = new BoundedCache<number>(100, 1_000);
    cache.set("a", 1, 400);
    cache.set("a", 1, 400);
    expect(cache.bytes).toBe(400);
    cache.set("b", 2, 300);
    cache.set("a", 1, 400);
    expect([cache.size, cache.bytes]).toEqual([2, 700]);
    cache.delete("a", 400);
    cache.delete("b", 300);
    expect([cache.size, cache.bytes]).toEqual([0, 0]);
    const none = new BoundedCache<number>(0, 0);
    none.set("a", 1, 1);
    expect(none.size).toBe(0);
  });
});

describe("freshness", () => {
  it("is proven by events only, and ages by the monotonic clock", () => {
    const clock = movingClock();
    const freshness = new Freshness(clock);
    expect(freshness.ageMs).toBe(Number.POSITIVE_INFINITY);
    freshness.connected(undefined);
    expect(freshness.observe(clock.now() - 400)).toBe(true);
    expect(freshness.ageMs).toBe(0);
    clock.advance(1_000);
    expect(freshness.observe(clock.now() - 600)).toBe(true);
    expect(freshness.ageMs).toBe(200);
  });

  it("counts what the broker itself was behind by, where it says what time it was", () => {
    const clock = movingClock();
    const freshness = new Freshness(clock);
    freshness.connected(undefined);
    expect(freshness.observe(clock.now() - 90_000, clock.now() - 86_000)).toBe(true);
    expect(freshness.ageMs).toBe(4_000);
  });

  it("does not believe an instant that jumps ahead, nor is made older by a broker that is behind", () => {
    const clock = movingClock();
    const freshness = new Freshness(clock);
    freshness.connected(clock.now());
    expect(freshness.observe(clock.now())).toBe(true);
    expect(freshness.observe(clock.now() + 5_001)).toBe(false);
    expect(freshness.ageMs).toBe(0);
    freshness.connected(clock.now() - 60_000);
    clock.advance(1_000);
    expect(freshness.observe(clock.now() - 61_000)).toBe(true);
    expect(freshness.ageMs).toBe(1_000);
    expect(freshness.asOf).toBe(clock.now() - 61_000);
  });
});

describe("marks", () => {
  it("cover instants up to their own, the later of two counting, and are forgotten when nothing they cover can live", () => {
    const marks = new Marks(2);
    const lease = { instant: 100, subject: "github:1", trust: "github", grant: "deploy", kid: "k" };
    expect(marks.add("workload", "github:1", 100)).toBe(true);
    expect(marks.add("workload", "github:1", 50)).toBe(true);
    expect(marks.covering(lease)).toBe("workload");
    expect(marks.covering({ ...lease, instant: 101 })).toBeUndefined();
    expect(marks.covering({ ...lease, subject: "github:10" })).toBeUndefined();
    expect(marks.add("trust", "github", 90)).toBe(true);
    expect(marks.add("grant", "deploy", 90)).toBe(false);
    expect(marks.size).toBe(2);
    marks.forgetBefore(100);
    expect([marks.size, marks.covering(lease)]).toEqual([1, "workload"]);
  });
});

describe("waiting before another attempt", () => {
  it("doubles up to five seconds, half of it by chance", () => {
    expect([0, 1, 2, 3, 20].map((attempt) => [backoffMs(attempt, 250, () => 0), backoffMs(attempt, 250, () => 1)])).toEqual([
      [125, 250],
      [250, 500],
      [500, 1000],
      [1000, 2000],
      [2500, 5000],
    ]);
    const waits = new Set(Array.from({ length: 50 }, () => backoffMs(5)));
    expect(waits.size).toBeGreaterThan(20);
  });
});
