import { beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { CompactSign, compactVerify, decodeProtectedHeader } from "jose";
import { signCompact, verifyCompact } from "../../../issuers/jwt/fast-sign.ts";
import { ownKeys, type OwnKey } from "../../support/own-keys.ts";

let keys: readonly OwnKey[];
let stranger: readonly OwnKey[];
beforeAll(async () => {
  const [ours, theirs] = await Promise.all([ownKeys(), ownKeys()]);
  keys = [ours.es256, ours.rs256];
  stranger = [theirs.es256, theirs.rs256];
});

const claims = fc.dictionary(fc.string({ maxLength: 12 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 8 });
const split = (token: string): { readonly input: string; readonly signature: Buffer } => {
  const dot = token.lastIndexOf(".");
  return { input: token.slice(0, dot), signature: Buffer.from(token.slice(dot + 1), "base64url") };
};

describe.each([
  ["ES256", 0],
  ["RS256", 1],
] as const)("the fast signer, held against jose on %s", (alg, index) => {
  const key = (from: readonly OwnKey[]): OwnKey => from[index] ?? fail();
  const fail = (): never => {
    throw new Error("no key");
  };

  it("makes tokens that jose verifies to the same words", async () => {
    await fc.assert(
      fc.asyncProperty(claims, async (payload) => {
        const token = signCompact(key(keys), "at+jwt", payload);
        expect(decodeProtectedHeader(token)).toEqual({ alg, typ: "at+jwt", kid: key(keys).kid });
        const verified = await compactVerify(token, key(keys).publicKey, { algorithms: [alg] });
        expect(JSON.parse(new TextDecoder().decode(verified.payload))).toEqual(JSON.parse(JSON.stringify(payload)));
        await expect(compactVerify(token, key(stranger).publicKey)).rejects.toMatchObject({
          code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
        });
      }),
      { numRuns: 25 },
    );
  });

  it("verifies what jose signed, and refuses what jose refuses", async () => {
    await fc.assert(
      fc.asyncProperty(claims, fc.nat(), fc.integer({ min: 0, max: 7 }), async (payload, at, bit) => {
        const token = await new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
          .setProtectedHeader({ alg, kid: key(keys).kid })
          .sign(key(keys).privateKey);
        const { input, signature } = split(token);
        expect(verifyCompact(key(keys), Buffer.from(input), signature)).toBe(true);
        expect(verifyCompact(key(stranger), Buffer.from(input), signature)).toBe(false);
        expect(verifyCompact(key(keys), Buffer.from(`${input}A`), signature)).toBe(false);
        const flipped = Buffer.from(signature);
        flipped[at % flipped.length] = (flipped[at % flipped.length] ?? 0) ^ (1 << bit);
        expect(verifyCompact(key(keys), Buffer.from(input), flipped)).toBe(false);
        await expect(compactVerify(`${input}.${flipped.toString("base64url")}`, key(keys).publicKey)).rejects.toThrow();
      }),
      { numRuns: 25 },
    );
  });

  it.each([0, 1, 63, 65, 255, 257, 1024])("refuses a signature of %i bytes", (length) => {
    expect(verifyCompact(key(keys), Buffer.from("a.b"), Buffer.alloc(length, 1))).toBe(false);
  });
});

describe("a key of one algorithm", () => {
  it("is never used for the other", () => {
    const [es256, rs256] = keys;
    if (es256 === undefined || rs256 === undefined) throw new Error("no keys");
    const { input, signature } = split(signCompact(rs256, "at+jwt", {}));
    expect(verifyCompact(es256, Buffer.from(input), signature)).toBe(false);
  });

  it("heads its tokens by their type, even when types alternate", () => {
    const [key] = keys;
    if (key === undefined) throw new Error("no key");
    expect(["at+jwt", "task+jwt", "at+jwt"].map((typ) => decodeProtectedHeader(signCompact(key, typ, {})).typ)).toEqual([
      "at+jwt",
      "task+jwt",
      "at+jwt",
    ]);
  });
});
