import { describe, expect, it } from "@jest/globals";
import { type Verifier, type VerifierLogEntry, type VerifierOptions, VerifyError, createVerifier } from "../../../client/verify/index.ts";
import { type FeedFault, type FeedServer, startFeedServer } from "../../support/feed-server.ts";
import { type MovingClock, movingClock, until } from "./moving-clock.ts";

interface World extends AsyncDisposable {
  readonly clock: MovingClock;
  readonly feed: FeedServer;
  readonly verifier: Verifier;
  readonly log: VerifierLogEntry[];
}

async function world(options: Partial<VerifierOptions> = {}, before: (feed: FeedServer) => void = () => undefined): Promise<World> {
  const clock = movingClock();
  const feed = await startFeedServer({ clock: () => clock.now() });
  before(feed);
  const log: VerifierLogEntry[] = [];
  const verifier = createVerifier({
    issuer: feed.url,
    audience: feed.audience,
    name: "api",
    key: "secret",
    instance: "api-1",
    clock,
    log: (entry) => log.push(entry),
    ...options,
  });
  return {
    clock,
    feed,
    verifier,
    log,
    async [Symbol.asyncDispose]() {
      await verifier.close();
      await feed[Symbol.asyncDispose]();
    },
  };
}

const reasonOf = async (verifier: Verifier, token: string): Promise<string> =>
  verifier.verify(token).then(
    () => "honoured",
    (error: unknown) => (error instanceof VerifyError ? error.reason : String(error)),
  );

/** Lets the client's pauses pass, a little at a time, until something has happened. */
async function passing(clock: MovingClock, condition: () => boolean, what?: string): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`${what ?? "the condition"} did not come about`);
    clock.advance(100);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

describe("a verifier with the feed", () => {
  it("honours a good token, and refuses it as soon as its lease is revoked", async () => {
    await using it = await world();
    await it.verifier.ready();
    const lease = it.feed.lease();
    const token = it.feed.token({ lease_id: lease });
    expect(await reasonOf(it.verifier, token)).toBe("honoured");
    it.feed.revoke(lease, Math.floor(it.clock.now() / 1000) + 600);
    await until(() => it.verifier.state().revoked.leases === 1);
    expect(await reasonOf(it.verifier, token)).toBe("revoked");
    expect(await reasonOf(it.verifier, it.feed.token())).toBe("honoured");
    expect(it.feed.calls["/oauth2/introspect"]).toBeUndefined();
  });

  it("learns from the snapshot what was revoked before it began", async () => {
    let token = "";
    await using it = await world({}, (feed) => {
      const lease = feed.lease();
      token = feed.token({ lease_id: lease });
      feed.revoke(lease, Number.MAX_SAFE_INTEGER);
    });
    await it.verifier.ready();
    expect(await reasonOf(it.verifier, token)).toBe("revoked");
  });

  it.each([
    ["all", "", {}],
    ["workload", "github:1", {}],
    ["trust", "github", {}],
    ["grant", "deploy", {}],
  ] as const)("refuses what a mark on %s covers, and only that", async (scope, name, claims) => {
    await using it = await world();
    await it.verifier.ready();
    const before = it.feed.token(claims);
    const other = it.feed.token({ sub: "gitlab:2", grant: "read" });
    it.feed.mark(scope, name, it.clock.now());
    await until(() => it.verifier.state().revoked.marks === 1);
    it.clock.advance(1);
    expect(await reasonOf(it.verifier, before)).toBe("revoked");
    expect(await reasonOf(it.verifier, other)).toBe(scope === "all" ? "revoked" : "honoured");
    expect(await reasonOf(it.verifier, it.feed.token(claims))).toBe("honoured");
  });

  it("refuses what a withdrawn signing key has signed", async () => {
    await using it = await world();
    await it.verifier.ready();
    const token = it.feed.token();
    it.feed.mark("key", String(it.feed.publicJwk["kid"]), it.clock.now());
    await until(() => it.verifier.state().revoked.marks === 1);
    expect(await reasonOf(it.verifier, token)).toBe("revoked");
  });

  it("denies when what it knows is too old, says so, and recovers unaided", async () => {
    await using it = await world({ maxStaleness: "15s" });
    await it.verifier.ready();
    const token = it.feed.token();
    await it.feed.stop();
    it.clock.advance(15_000);
    expect(await reasonOf(it.verifier, token)).toBe("honoured");
    it.clock.advance(1);
    await expect(it.verifier.verify(token)).rejects.toMatchObject({ reason: "stale", status: 503, headers: { "retry-after": "1" } });
    expect(it.log.filter(({ event }) => event === "stale")).toMatchObject([{ level: "warn" }]);
    expect(it.log.some(({ event }) => event === "feed_lost")).toBe(true);
    await it.feed.start();
    await passing(it.clock, () => it.verifier.state().fresh, "freshness");
    expect(await reasonOf(it.verifier, token)).toBe("honoured");
  });

  it("goes on from where it was, and takes a snapshot again when that was trimmed, reviving nothing", async () => {
    await using it = await world();
    await it.verifier.ready();
    const [one, two, three] = [it.feed.lease(), it.feed.lease(), it.feed.lease()];
    const exp = Math.floor(it.clock.now() / 1000) + 3600;
    it.feed.revoke(one, exp);
    await until(() => it.verifier.state().revoked.leases === 1);
    it.feed.cut();
    it.feed.revoke(two, exp);
    await passing(it.clock, () => it.verifier.state().revoked.leases === 2, "the second");
    expect(it.feed.calls["/v1/feed/snapshot"]).toBe(1);
    expect(it.feed.positions.at(-1)).toBe(Buffer.from("pos:1").toString("base64url"));
    it.feed.cut();
    await until(() => !it.verifier.state().connected);
    it.feed.revoke(three, exp);
    it.feed.trim();
    await passing(it.clock, () => it.feed.calls["/v1/feed/snapshot"] === 2 && it.verifier.state().connected, "the second snapshot");
    await until(() => it.verifier.state().revoked.leases === 3);
    for (const lease of [one, two, three]) expect(await reasonOf(it.verifier, it.feed.token({ lease_id: lease }))).toBe("revoked");
  });

  it("keeps what it knows when the feed goes back to before it", async () => {
    await using it = await world();
    await it.verifier.ready();
    const lease = it.feed.lease();
    it.feed.raw(
      `event: revoked\nid: cG9zOjk\ndata: {"as_of":${it.clock.now()},"leases":[["${lease}",${it.clock.now() / 1000 + 600}]]}\n\n`,
    );
    await until(() => it.verifier.state().revoked.leases === 1);
    // an older position, and an older instant: a store that was restored
    it.feed.raw(`event: sync\nid: cG9zOjA\ndata: {"as_of":${it.clock.now() - 60_000}}\n\n`);
    it.feed.cut();
    await passing(it.clock, () => it.feed.positions.at(-1) === "cG9zOjA" && it.verifier.state().connected, "the reconnection");
    expect(await reasonOf(it.verifier, it.feed.token({ lease_id: lease }))).toBe("revoked");
  });

  it("takes the same events again and in another order for what they are", async () => {
    await using it = await world();
    await it.verifier.ready();
    const now = it.clock.now();
    const [one, two] = [it.feed.lease(), it.feed.lease()];
    const event = (lease: string, id: string): string =>
      `event: revoked\nid: ${id}\ndata: {"as_of":${now},"leases":[["${lease}",${now / 1000 + 600}]]}\n\n`;
    it.feed.raw(event(two, "cG9zOjI") + event(one, "cG9zOjE") + event(two, "cG9zOjI"));
    await until(() => it.verifier.state().revoked.leases === 2);
    expect(await reasonOf(it.verifier, it.feed.token({ lease_id: one }))).toBe("revoked");
    expect(await reasonOf(it.verifier, it.feed.token({ lease_id: two }))).toBe("revoked");
  });

  it("grows stale while events keep coming whose instant stands still", async () => {
    await using it = await world();
    await it.verifier.ready();
    const stood = it.clock.now();
    it.feed.asOf = () => stood;
    for (let second = 0; second < 16; second++) {
      it.clock.advance(1_000);
      it.feed.heartbeat();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(it.verifier.state()).toMatchObject({ fresh: false, connected: true });
    expect(await reasonOf(it.verifier, it.feed.token())).toBe("stale");
    it.feed.asOf = undefined;
    it.feed.heartbeat();
    await until(() => it.verifier.state().fresh);
    expect(await reasonOf(it.verifier, it.feed.token())).toBe("honoured");
  });

  it("knows from the first event on when the broker itself is behind", async () => {
    await using it = await world({}, (feed) => {
      feed.asOf = () => Date.parse("2026-03-02T11:59:30.000Z");
    });
    await until(() => it.verifier.state().connected && it.verifier.state().staleMs !== undefined);
    expect(it.verifier.state()).toMatchObject({ fresh: false, staleMs: 30_000 });
    expect(await reasonOf(it.verifier, it.feed.token())).toBe("stale");
  });

  it("is not made younger by its wall clock going back, nor kept young by a machine that slept", async () => {
    await using it = await world();
    await it.verifier.ready();
    const token = it.feed.token();
    it.clock.jump(-10_000);
    expect(it.verifier.state().staleMs).toBe(0);
    it.clock.advance(16_000);
    expect(await reasonOf(it.verifier, token)).toBe("stale");
    it.clock.jump(10_000);
    it.feed.heartbeat();
    await passing(it.clock, () => it.verifier.state().fresh);
    it.clock.jump(16_000); // asleep: the monotonic clock stood still
    expect(await reasonOf(it.verifier, token)).toBe("stale");
  });

  it("asks the broker about each token while it is stale, if told to", async () => {
    await using it = await world({ onStale: "introspect" });
    await it.verifier.ready();
    const token = it.feed.token();
    await it.verifier.verify(token);
    expect(it.feed.calls["/oauth2/introspect"]).toBeUndefined();
    it.feed.fault = "error";
    it.feed.cut();
    it.clock.advance(15_001);
    expect(await reasonOf(it.verifier, token)).toBe("honoured");
    expect(it.feed.calls["/oauth2/introspect"]).toBe(1);
    it.feed.introspection = false;
    expect(await reasonOf(it.verifier, token)).toBe("inactive");
    it.feed.introspection = "error";
    await expect(it.verifier.verify(token)).rejects.toMatchObject({ reason: "introspection_unavailable", status: 503 });
  });

  it("refuses what it knows to be revoked without asking, even while it is stale", async () => {
    await using it = await world({ onStale: "introspect" });
    await it.verifier.ready();
    const lease = it.feed.lease();
    it.feed.revoke(lease, it.clock.now() / 1000 + 600);
    await until(() => it.verifier.state().revoked.leases === 1);
    await it.feed.stop();
    it.clock.advance(15_001);
    expect(await reasonOf(it.verifier, it.feed.token({ lease_id: lease }))).toBe("revoked");
  });

  it("takes a token for expired once the issuer's own clock has reached its end, whatever the allowance", async () => {
    await using it = await world();
    await it.verifier.ready();
    const exp = Math.floor(it.clock.now() / 1000) + 60;
    const token = it.feed.token({ exp });
    it.clock.advance(61_000);
    await passing(it.clock, () => it.verifier.state().fresh);
    await expect(it.verifier.verify(token)).rejects.toMatchObject({
      reason: "expired",
      message: "the token has expired: by the issuer's clock",
    });
  });
});

describe("acknowledgements", () => {
  it("follow what was applied at once, at most four times a second, and else every five seconds", async () => {
    await using it = await world();
    await it.verifier.ready();
    it.clock.advance(0);
    await until(() => it.feed.seen.length === 1);
    expect(it.feed.seen[0]).toEqual({
      instance: "api-1",
      position: Buffer.from("pos:0").toString("base64url"),
      max_staleness: 15,
      applied_at: it.clock.now(),
    });
    for (let count = 1; count <= 3; count++) {
      it.feed.revoke(it.feed.lease(), it.clock.now() / 1000 + 600);
      await until(() => it.verifier.state().revoked.leases === count);
    }
    it.clock.advance(249);
    expect(it.feed.seen).toHaveLength(1);
    it.clock.advance(1);
    await until(() => it.feed.seen.length === 2);
    expect(it.feed.seen[1]).toMatchObject({ position: Buffer.from("pos:3").toString("base64url"), applied_at: it.clock.now() });
    it.clock.advance(4_999);
    it.feed.heartbeat();
    expect(it.feed.seen).toHaveLength(2);
    it.clock.advance(1);
    await until(() => it.feed.seen.length === 3);
  });
});

describe("a feed that misbehaves", () => {
  const FAULTS: readonly FeedFault[] = [
    "truncated-snapshot",
    "wrong-count",
    "foreign-snapshot",
    "hanging-snapshot",
    "hanging-stream",
    "garbage",
    "not-utf8",
    "not-json",
    "endless-line",
    "wrong-type",
    "redirect",
    "reset-storm",
    "unauthorized",
    "error",
    "mark-from-the-future",
  ];

  it.each(FAULTS)("makes nothing fresh (%s), and the verifier recovers when it behaves again", async (fault) => {
    await using it = await world({}, (feed) => {
      feed.fault = fault;
    });
    const [path, times] = [
      "truncated-snapshot",
      "wrong-count",
      "foreign-snapshot",
      "hanging-snapshot",
      "wrong-type",
      "redirect",
      "unauthorized",
      "error",
      "mark-from-the-future",
    ].includes(fault)
      ? (["/v1/feed/snapshot", 2] as const)
      : (["/v1/feed", 1] as const);
    await passing(it.clock, () => (it.feed.calls[path] ?? 0) >= times, "the attempts");
    expect(await reasonOf(it.verifier, it.feed.token())).toBe("stale");
    if (fault !== "hanging-stream")
      await passing(
        it.clock,
        () => it.log.some(({ event }) => ["feed_lost", "feed_refused", "feed_reset"].includes(event)),
        "a word in the log",
      );
    it.feed.fault = undefined;
    await passing(it.clock, () => it.verifier.state().fresh, "freshness");
    expect(await reasonOf(it.verifier, it.feed.token())).toBe("honoured");
  });

  it("still revokes by what a truncated snapshot told", async () => {
    let lease = "";
    await using it = await world({ onStale: "introspect" }, (feed) => {
      lease = feed.lease();
      feed.revoke(lease, Number.MAX_SAFE_INTEGER);
      feed.fault = "truncated-snapshot";
    });
    await until(() => it.verifier.state().revoked.leases === 1);
    expect(await reasonOf(it.verifier, it.feed.token({ lease_id: lease }))).toBe("revoked");
  });

  it("is not asked more often than every few seconds, however it resets", async () => {
    await using it = await world({}, (feed) => {
      feed.fault = "reset-storm";
    });
    await until(() => it.feed.positions.length === 1);
    for (let second = 0; second < 60; second++) {
      it.clock.advance(1_000);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    expect(it.feed.positions.length).toBeGreaterThan(5);
    expect(it.feed.positions.length).toBeLessThan(30);
  });

  it("holds no more than its room: beyond that everything as old is refused", async () => {
    await using it = await world({ maxRevoked: 100 });
    await it.verifier.ready();
    const old = it.feed.token();
    const exp = it.clock.now() / 1000 + 600;
    it.clock.advance(5);
    const leases = Array.from({ length: 150 }, () => [it.feed.lease(), exp]);
    it.feed.raw(`event: revoked\nid: cG9zOjA\ndata: ${JSON.stringify({ as_of: it.clock.now(), leases })}\n\n`);
    await until(() => it.verifier.state().revoked.leases === 100);
    expect(it.log.some(({ event }) => event === "feed_overflow")).toBe(true);
    for (const [lease] of leases) expect(await reasonOf(it.verifier, it.feed.token({ lease_id: lease }))).toBe("revoked");
    expect(await reasonOf(it.verifier, old)).toBe("revoked");
    it.clock.advance(5);
    expect(await reasonOf(it.verifier, it.feed.token())).toBe("honoured");
  });
});

describe("waiting until it is ready", () => {
  it("ends when it is told to, with what it was told", async () => {
    await using it = await world({}, (feed) => {
      feed.fault = "hanging-stream";
    });
    const abort = new AbortController();
    const ready = it.verifier.ready(abort.signal).catch((error: unknown) => error);
    await until(() => it.feed.positions.length === 1);
    abort.abort(new Error("the server was stopped"));
    expect(await ready).toEqual(new Error("the server was stopped"));
  });
});

describe("closing", () => {
  it("ends the feed, refuses everything, and leaves no timer behind", async () => {
    await using it = await world();
    await it.verifier.ready();
    const token = it.feed.token();
    await it.verifier.verify(token);
    await it.verifier.close();
    expect(await reasonOf(it.verifier, token)).toBe("closed");
    await expect(it.verifier.ready()).rejects.toMatchObject({ reason: "closed" });
    await until(() => it.feed.streams === 0);
    expect(it.clock.timers).toBe(0);
  });

  it("does not wait for a server that hangs", async () => {
    await using it = await world({}, (feed) => {
      feed.fault = "hanging-snapshot";
    });
    await until(() => it.feed.calls["/v1/feed/snapshot"] === 1);
    await it.verifier.close();
    expect(it.verifier.state().connected).toBe(false);
  });
});
