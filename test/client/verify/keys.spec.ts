import { describe, expect, it } from "@jest/globals";
import { type Verifier, type VerifierLogEntry, VerifyError, createVerifier } from "../../../client/verify/index.ts";
import { type FeedServer, startFeedServer } from "../../support/feed-server.ts";
import { type MovingClock, movingClock } from "./moving-clock.ts";

interface World extends AsyncDisposable {
  readonly clock: MovingClock;
  readonly feed: FeedServer;
  readonly verifier: Verifier;
  readonly log: VerifierLogEntry[];
  /** Why a token is refused. */
  judge(token: string): Promise<string>;
  readonly reads: number;
}

/** Tokens live for hours here, so that only keys decide. */
async function world(): Promise<World> {
  const clock = movingClock();
  const feed = await startFeedServer({ clock: () => clock.now() });
  const log: VerifierLogEntry[] = [];
  const verifier = createVerifier({
    issuer: feed.url,
    audience: feed.audience,
    revocation: "none",
    clock,
    log: (entry) => log.push(entry),
  });
  return {
    clock,
    feed,
    verifier,
    log,
    judge: (token) =>
      verifier.verify(token).then(
        () => "honoured",
        (error: unknown) => (error instanceof VerifyError ? error.reason : String(error)),
      ),
    get reads() {
      return feed.calls["/.well-known/jwks.json"] ?? 0;
    },
    async [Symbol.asyncDispose]() {
      await verifier.close();
      await feed[Symbol.asyncDispose]();
    },
  };
}

const long = (it: World): string => it.feed.token({ exp: it.clock.now() / 1000 + 86_000 });

describe("the issuer's keys", () => {
  it("are read once for many tokens at the same time", async () => {
    await using it = await world();
    const tokens = Array.from({ length: 20 }, () => it.feed.token());
    expect(new Set(await Promise.all(tokens.map((token) => it.judge(token))))).toEqual(new Set(["honoured"]));
    expect(it.reads).toBe(1);
  });

  it("are followed through rotation without one refusal, each five seconds for a minute", async () => {
    await using it = await world();
    const old: string[] = [];
    for (let round = 0; round < 12; round++) {
      it.feed.rotate();
      old.push(it.feed.token());
      for (const token of old) expect(await it.judge(token)).toBe("honoured");
      it.clock.advance(5_000);
    }
    expect(it.reads).toBeLessThanOrEqual(13);
  });

  it("are not read for each unknown id: an attacker gets one fetch now and then", async () => {
    await using it = await world();
    await it.verifier.ready();
    for (let second = 0; second < 120; second++) {
      for (let count = 0; count < 10; count++)
        expect(await it.judge(it.feed.token({}, { kid: `x${second}-${count}` }))).toBe("unknown_key");
      it.clock.advance(1_000);
    }
    expect(it.reads).toBeLessThanOrEqual(10);
  });

  it("that were put there by somebody else are dead when they are gone, for tokens seen before too", async () => {
    await using it = await world();
    it.feed.rotate();
    const token = long(it);
    expect(await it.judge(token)).toBe("honoured");
    it.feed.rotate({ drop: true });
    it.clock.advance(299_000);
    await it.judge(token);
    it.clock.advance(2_000);
    expect(await it.judge(token)).toBe("unknown_key");
    expect(await it.judge(long(it))).toBe("honoured");
  });

  it("serve for a day while they cannot be read again, without anybody waiting, and no longer", async () => {
    await using it = await world();
    await it.verifier.ready();
    const token = (): string => long(it);
    it.feed.keyFault = "error";
    for (let hour = 0; hour < 23; hour++) {
      it.clock.advance(3_600_000);
      expect(await it.judge(token())).toBe("honoured");
    }
    it.clock.advance(3_600_001);
    expect(await it.judge(token())).toBe("keys_unavailable");
    expect(it.log.filter(({ event }) => event === "keys_failed").length).toBeGreaterThan(10);
    it.feed.keyFault = undefined;
    it.clock.advance(5_000);
    expect(await it.judge(token())).toBe("honoured");
  });

  it.each([
    ["html", "its answer is of another type"],
    ["list", "has no list of keys|not a JSON object"],
    ["error", "it answered 500"],
    ["huge", "its answer is longer than 262144 bytes"],
    ["private", "publishes a private or symmetric key"],
    ["empty", "has no key that can be used"],
    ["foreign", "the metadata is of another issuer"],
  ] as const)("deny everything at first and recover when the document is %s, and say why", async (fault, why) => {
    await using it = await world();
    it.feed.keyFault = fault;
    await expect(it.verifier.verify(it.feed.token())).rejects.toMatchObject({
      reason: "keys_unavailable",
      status: 503,
      headers: { "retry-after": "1" },
    });
    expect(it.log.find(({ event }) => event === "keys_failed")?.reason).toMatch(new RegExp(why));
    it.feed.keyFault = undefined;
    it.clock.advance(5_000);
    expect(await it.judge(it.feed.token())).toBe("honoured");
  });

  it("keep serving when the document becomes something else later", async () => {
    await using it = await world();
    const token = long(it);
    expect(await it.judge(token)).toBe("honoured");
    for (const fault of ["html", "list", "private", "huge"] as const) {
      it.feed.keyFault = fault;
      it.clock.advance(301_000);
      expect(await it.judge(token)).toBe("honoured");
    }
  });

  it("do not keep anybody waiting for long when the server hangs", async () => {
    await using it = await world();
    it.feed.keyFault = "hang";
    const judged = it.judge(it.feed.token());
    while (it.feed.calls["/.well-known/openid-configuration"] === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
    it.clock.advance(5_000);
    expect(await judged).toBe("keys_unavailable");
  });
});

describe("the options of a verifier", () => {
  const good = {
    issuer: "https://stint.test",
    audience: "https://api.test",
    name: "api",
    key: "secret",
    revocation: "introspection" as const,
  };

  it.each([
    [{ issuer: "https://stint.test/" }, "issuer must be an origin"],
    [{ issuer: "http://stint.test" }, "issuer must be an origin"],
    [{ issuer: "stint.test" }, "issuer must be an origin"],
    [{ issuer: "https://Stint.test" }, "issuer must be an origin"],
    [{ audience: "" }, "audience is needed"],
    [{ key: "" }, 'name and key are needed for revocation: "introspection"'],
    [{ revocation: "maybe" as "feed" }, "revocation must be one of feed, introspection, status_list, none"],
    [{ onStale: "allow" as "deny" }, "onStale must be one of deny, introspect"],
    [{ algorithms: ["none"] }, "algorithms must be some of ES256"],
    [{ algorithms: ["HS256"] }, "algorithms must be some of ES256"],
    [{ algorithms: [] }, "algorithms must be some of ES256"],
    [{ maxStaleness: "soon" }, 'maxStaleness must be a span such as "15s"'],
    [{ maxStaleness: Number.POSITIVE_INFINITY }, "maxStaleness must be a span"],
    [{ clockTolerance: "2m" }, "clockTolerance must be a span"],
    [{ instance: "a b" }, "instance must be letters, digits and . _ : @ -"],
  ])("refuse %j", (wrong, message) => {
    expect(() => createVerifier({ ...good, ...wrong })).toThrow(message);
  });

  it.each(["https://stint.test", "https://stint.test:8443", "http://127.0.0.1:8420", "http://localhost:8420", "http://[::1]:8420"])(
    "take %s for an issuer",
    async (issuer) => {
      await createVerifier({ ...good, issuer }).close();
    },
  );
});
