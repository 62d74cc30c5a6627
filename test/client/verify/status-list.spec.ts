import { describe, expect, it } from "@jest/globals";
import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from "jose";
import { StatusLists, type AccessTokenClaims, type StatusListsOptions } from "../../../client/verify/index.ts";
import { openStatuses, statusAt } from "../../../client/verify/status-bits.ts";

const ISSUER = "https://stint.test";
const LIST = `${ISSUER}/status/498612-0`;
/** Of 16 places, 1, 3, 8 and 14 are over: the draft's own example. */
const BYTES = Buffer.from("0a41", "hex");
const lstOf = (bytes: Uint8Array): string => deflateSync(bytes).toString("base64url");

interface Scene {
  now: number;
  /** Answers the next requests for the list. */
  answer: () => Response | Promise<Response>;
  asked: number;
  readonly logged: string[];
  readonly lists: StatusLists;
  token(change?: { claims?: Record<string, unknown>; header?: Record<string, unknown>; key?: CryptoKey }): Promise<string>;
  check(idx?: unknown, uri?: unknown): Promise<string>;
}

async function scene(options: Partial<StatusListsOptions> = {}): Promise<Scene> {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid: "k1", alg: "ES256", use: "sig" };
  const json = (value: unknown): Response => Response.json(value);
  const self: Scene = {
    now: 1_795_000_000_000,
    asked: 0,
    logged: [],
    answer: async () => listResponse(await self.token()),
    async token({ claims = {}, header = {}, key = privateKey } = {}) {
      const iat = Math.floor(self.now / 1000);
      const body = { iss: ISSUER, sub: LIST, iat, exp: iat + 300, ttl: 30, status_list: { bits: 1, lst: lstOf(BYTES) }, ...claims };
      const protectedHeader = { typ: "statuslist+jwt", kid: "k1", ...header, alg: "ES256" };
      return new SignJWT(JSON.parse(JSON.stringify(body)) as Record<string, unknown>).setProtectedHeader(protectedHeader).sign(key);
    },
    async check(idx = 0, uri = LIST) {
      const claims = { lease_id: "lease_x", status: { status_list: { idx, uri } } } as unknown as AccessTokenClaims;
      return self.lists.check(claims).then(
        () => "valid",
        (error: unknown) => (error as { reason: string }).reason,
      );
    },
    lists: new StatusLists({
      issuer: ISSUER,
      clock: { now: () => self.now, monotonic: () => self.now, after: () => () => undefined },
      log: ({ level, message }) => void (level === "warn" && self.logged.push(message)),
      fetch: async (url) => {
        if (url.endsWith("/jwks.json")) return json({ keys: [jwk] });
        if (url.includes("/.well-known/")) return json({ issuer: ISSUER, jwks_uri: `${ISSUER}/.well-known/jwks.json` });
        self.asked += 1;
        return self.answer();
      },
      ...options,
    }),
  };
  return self;
}
const listResponse = (token: string, type = "application/statuslist+jwt"): Response =>
  new Response(token, { headers: { "content-type": type } });

describe("a status list", () => {
  it("says of each place what it says, is asked for once in its ttl, and once for all who wait", async () => {
    const at = await scene();
    const found = await Promise.all(Array.from({ length: 16 }, (_, index) => at.check(index)));
    expect(found.flatMap((said, index) => (said === "revoked" ? [index] : []))).toEqual([1, 3, 8, 14]);
    at.now += 29_999;
    await at.check();
    expect(at.asked).toBe(1);
    at.now += 1;
    await at.check();
    expect(at.asked).toBe(2);
  });

  it.each([
    { bits: 2, bytes: "210480", statuses: { 0: "revoked", 1: "valid", 2: "revoked", 5: "revoked", 11: "revoked", 12: "status_refused" } },
    { bits: 8, bytes: "0002", statuses: { 0: "valid", 1: "revoked", 2: "status_refused" } },
  ])("of $bits bits: everything but valid is refused, suspended and unknown ones too", async ({ bits, bytes, statuses }) => {
    const at = await scene();
    at.answer = async () => listResponse(await at.token({ claims: { status_list: { bits, lst: lstOf(Buffer.from(bytes, "hex")) } } }));
    for (const [index, said] of Object.entries(statuses)) expect([index, await at.check(Number(index))]).toEqual([index, said]);
  });
});

describe("a token", () => {
  it.each([
    ["an index beyond the list", 16, LIST, "status_refused"],
    ["a negative index", -1, LIST, "status_refused"],
    ["an index that is no whole number", 1.5, LIST, "status_refused"],
    ["an index that is a text", "1", LIST, "status_refused"],
    ["a list elsewhere", 0, "https://evil.test/status/1", "status_refused"],
    ["a list at a host that begins like its issuer's", 0, "https://stint.test.evil.test/1", "status_refused"],
    ["a list by another spelling", 0, `${ISSUER}/status/../status/498612-0`, "status_refused"],
    ["a list that is a user's", 0, "https://stint.test@evil.test/1", "status_refused"],
    ["no list", 0, undefined as unknown, "valid"],
    ["another list than the one that answers", 0, `${ISSUER}/status/498612-1`, "status_unavailable"],
  ])("with %s: %s", async (_name, idx, uri, said) => {
    expect(await (await scene()).check(idx, uri)).toBe(said);
  });

  it("without a status is refused: this server was told that there is one", async () => {
    const at = await scene();
    for (const status of [undefined, null, {}, { status_list: [] }, { status_list: { idx: 0 } }])
      await expect(at.lists.check({ lease_id: "lease_x", status } as never)).rejects.toMatchObject({
        reason: "status_refused",
        status: 401,
      });
  });
});

describe("a hostile list", () => {
  const bomb = (): string => deflateSync(Buffer.alloc(64 * 1024 * 1024)).toString("base64url");
  const cases: readonly { readonly name: string; readonly make: (at: Scene) => Promise<Response> }[] = [
    { name: "of another typ", make: async (at) => listResponse(await at.token({ header: { typ: "at+jwt" } })) },
    { name: "without typ", make: async (at) => listResponse(await at.token({ header: { typ: undefined } })) },
    {
      name: "signed by somebody else",
      make: async (at) => listResponse(await at.token({ key: (await generateKeyPair("ES256")).privateKey })),
    },
    { name: "of an unknown key", make: async (at) => listResponse(await at.token({ header: { kid: "k2" } })) },
    { name: "for another URI", make: async (at) => listResponse(await at.token({ claims: { sub: `${LIST}/` } })) },
    { name: "without sub", make: async (at) => listResponse(await at.token({ claims: { sub: undefined } })) },
    { name: "of another issuer", make: async (at) => listResponse(await at.token({ claims: { iss: "https://evil.test" } })) },
    { name: "from the future", make: async (at) => listResponse(await at.token({ claims: { iat: at.now / 1000 + 31 } })) },
    { name: "without iat", make: async (at) => listResponse(await at.token({ claims: { iat: undefined } })) },
    { name: "that has expired", make: async (at) => listResponse(await at.token({ claims: { exp: at.now / 1000 } })) },
    { name: "whose ttl is zero", make: async (at) => listResponse(await at.token({ claims: { ttl: 0 } })) },
    { name: "whose ttl is negative", make: async (at) => listResponse(await at.token({ claims: { ttl: -30 } })) },
    { name: "whose ttl is a text", make: async (at) => listResponse(await at.token({ claims: { ttl: "30" } })) },
    {
      name: "of three bits",
      make: async (at) => listResponse(await at.token({ claims: { status_list: { bits: 3, lst: lstOf(BYTES) } } })),
    },
    { name: "without a list", make: async (at) => listResponse(await at.token({ claims: { status_list: undefined } })) },
    {
      name: "that is gzip",
      make: async (at) =>
        listResponse(await at.token({ claims: { status_list: { bits: 1, lst: gzipSync(BYTES).toString("base64url") } } })),
    },
    {
      name: "that is raw deflate",
      make: async (at) =>
        listResponse(await at.token({ claims: { status_list: { bits: 1, lst: deflateRawSync(BYTES).toString("base64url") } } })),
    },
    {
      name: "that is cut off",
      make: async (at) =>
        listResponse(await at.token({ claims: { status_list: { bits: 1, lst: lstOf(Buffer.alloc(5000, 7)).slice(0, 16) } } })),
    },
    {
      name: "in another base64",
      make: async (at) => listResponse(await at.token({ claims: { status_list: { bits: 1, lst: `${lstOf(BYTES)}==` } } })),
    },
    {
      name: "that inflates without end",
      make: async (at) => listResponse(await at.token({ claims: { status_list: { bits: 1, lst: bomb() } } })),
    },
    { name: "that is no JWS", make: async () => listResponse("x") },
    { name: "of another media type", make: async (at) => listResponse(await at.token(), "application/jwt") },
    { name: "behind a redirect", make: async () => new Response(null, { status: 302, headers: { location: "https://evil.test" } }) },
    { name: "that is an error", make: async () => new Response(null, { status: 500 }) },
    { name: "that is not there", make: async () => Promise.reject(new Error("unreachable")) },
    { name: "that does not end", make: async () => listResponse("x".repeat(9_000_000)) },
  ];
  it.each(cases)("is not believed $name: the answer is no, the log says why, and the next good one heals it", async ({ make }) => {
    const at = await scene();
    at.answer = () => make(at);
    expect([await at.check(), at.logged.length]).toEqual(["status_unavailable", 1]);
    // not again for each request
    expect([await at.check(), at.asked]).toEqual(["status_unavailable", 1]);
    at.now += 1_000;
    at.answer = async () => listResponse(await at.token());
    expect(await at.check()).toBe("valid");
  });
});

describe("a list that cannot be read again", () => {
  it("is good until its own end, and not a second longer", async () => {
    const at = await scene();
    expect(await at.check()).toBe("valid");
    at.answer = async () => new Response(null, { status: 503 });
    at.now += 299_000;
    expect([await at.check(), await at.check(1)]).toEqual(["valid", "revoked"]);
    at.now += 1_000;
    expect([await at.check(), await at.check(1)]).toEqual(["status_unavailable", "status_unavailable"]);
  });

  it("that names no end is good for its ttl only, which is five seconds at least and an hour at most", async () => {
    for (const { ttl, seconds } of [
      { ttl: 1, seconds: 5 },
      { ttl: undefined, seconds: 60 },
      { ttl: 1e12, seconds: 3600 },
    ]) {
      const at = await scene();
      at.answer = async () => listResponse(await at.token({ claims: { exp: undefined, ttl } }));
      expect(await at.check()).toBe("valid");
      at.answer = async () => new Response(null, { status: 503 });
      at.now += seconds * 1000 - 1;
      expect([ttl, await at.check()]).toEqual([ttl, "valid"]);
      at.now += 1;
      expect([ttl, await at.check()]).toEqual([ttl, "status_unavailable"]);
    }
  });

  it("is not replaced by an older one, which might bring back what has ended", async () => {
    const at = await scene();
    const old = await at.token({ claims: { status_list: { bits: 1, lst: lstOf(Buffer.alloc(2)) } } });
    at.now += 10_000;
    expect(await at.check(1)).toBe("revoked");
    at.now += 30_000;
    at.answer = () => listResponse(old);
    expect(await at.check(1)).toBe("revoked");
    expect(at.logged).toEqual([expect.stringContaining("older than the one before")]);
  });
});

describe("statuses", () => {
  it("open only as far as allowed", async () => {
    await expect(openStatuses(lstOf(Buffer.alloc(1000)), 999)).rejects.toThrow("more than 999 bytes");
    expect((await openStatuses(lstOf(Buffer.alloc(1000)), 1000)).length).toBe(1000);
    expect(statusAt(new Uint8Array([0b1110_0100]), 2, 3)).toBe(3);
    expect(statusAt(new Uint8Array(1), 1, 2 ** 53)).toBeUndefined();
  });
});
