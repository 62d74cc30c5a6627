import { hash } from "node:crypto";
import { beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { CompactSign, SignJWT, UnsecuredJWT, jwtVerify, type JWTPayload } from "jose";
import { readOwnToken, type OwnToken } from "../../../broker/leases/own-token.ts";
import { ownSignatures } from "../../../broker/tokens/own-signatures.ts";
import { openOwn } from "../../../broker/tokens/own-tokens.ts";
import { newId } from "../../../domain/ids.ts";
import { Secret } from "../../../domain/secret.ts";
import { signCompact } from "../../../issuers/jwt/fast-sign.ts";
import { ownKey, ownKeys, type OwnKey } from "../../support/own-keys.ts";

const ISSUER = "https://stint.acme.dev";
const NOW = Date.parse("2026-03-02T12:00:00Z");
const SECONDS = NOW / 1000;
const [LEASE, TASK] = [newId("lease", NOW), newId("task", NOW)];
let keys: Awaited<ReturnType<typeof ownKeys>>;
let stranger: OwnKey;
beforeAll(async () => {
  keys = await ownKeys();
  stranger = await ownKey("ES256");
});

const claims = (more: JWTPayload = {}): JWTPayload => ({
  iss: ISSUER,
  sub: "github:1",
  aud: ISSUER,
  iat: SECONDS - 10,
  nbf: SECONDS - 15,
  exp: SECONDS + 60,
  lease_id: LEASE,
  task_id: TASK,
  ...more,
});
const read = (token: string): Promise<OwnToken | undefined> =>
  readOwnToken({ url: ISSUER, signatures: ownSignatures(keys) }, new Secret(token));
const sign = (payload: JWTPayload, header: Record<string, unknown> = {}, key: OwnKey = keys.es256): Promise<string> =>
  new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader({ alg: key.alg, typ: "at+jwt", kid: key.kid, ...header })
    .sign(key.privateKey);

describe("our own signatures", () => {
  it("are known again with what they say, dead or alive, and nobody else's are", async () => {
    const signatures = ownSignatures(keys);
    const token = await signatures.sign("task+jwt", { exp: 1, n: 2 });
    expect(await signatures.verify(token)).toEqual({ typ: "task+jwt", kid: keys.es256.kid, payload: { exp: 1, n: 2 } });
    expect(await signatures.verify(await sign(claims(), {}, stranger))).toBeUndefined();
    expect(await signatures.verify("nonsense")).toBeUndefined();
  });

  it("that were worked out once are known by the whole token, and only while their key is published", async () => {
    let published = true;
    const signatures = ownSignatures({ ...keys, find: async (kid) => (published ? keys.find(kid) : undefined) });
    const token = await signatures.sign("at+jwt", { exp: 1 });
    const [head, , signature = ""] = token.split(".");
    const others = [
      `${head}.${Buffer.from('{"exp":2}').toString("base64url")}.${signature}`,
      `${token}A`,
      `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`,
      `${head}.${token.split(".")[1]}.`,
    ];
    for (const known of [false, true]) {
      if (known) expect(await signatures.verify(token)).toMatchObject({ payload: { exp: 1 } });
      for (const other of others) expect(await signatures.verify(other)).toBeUndefined();
    }
    const fresh = await signatures.sign("at+jwt", { exp: 3 });
    signatures.made(hash("sha256", fresh, "buffer"));
    expect(await signatures.verify(fresh)).toMatchObject({ typ: "at+jwt", payload: { exp: 3 } });
    published = false;
    expect(await signatures.verify(token)).toBeUndefined();
    expect(await signatures.verify(fresh)).toBeUndefined();
  });
});

describe("a token of our own", () => {
  it("of either algorithm is read with what it says, live or dead", async () => {
    for (const key of [keys.es256, keys.rs256])
      for (const exp of [SECONDS + 60, SECONDS - 60])
        expect(await read(signCompact(key, "at+jwt", claims({ exp })))).toEqual({
          leaseId: LEASE,
          taskId: TASK,
          isAccessToken: true,
          kid: key.kid,
          audiences: [ISSUER],
          expiresAt: exp * 1000,
          claims: claims({ exp }),
        });
    expect(await read(await sign(claims({ aud: ["https://a.test", "https://b.test"] }), { typ: "JWT" }))).toMatchObject({
      isAccessToken: false,
      audiences: ["https://a.test", "https://b.test"],
    });
  });

  it("that we did not sign is refused for what it is", async () => {
    const good = await sign(claims());
    const [header = "", payload = "", signature = ""] = good.split(".");
    const rows: readonly (readonly [string, string, string])[] = [
      ["empty", "", "malformed"],
      ["two segments", `${header}.${payload}`, "malformed"],
      ["four segments", `${good}.x`, "malformed"],
      ["padded", `${good}=`, "malformed"],
      ["with a space", ` ${good}`, "malformed"],
      ["17 KiB long", await sign(claims({ fill: "x".repeat(17_000) })), "malformed"],
      ["a header that is no JSON", `AAAA.${payload}.${signature}`, "malformed"],
      ["unsigned", new UnsecuredJWT(claims()).encode(), "malformed"],
      ["without typ", await sign(claims(), { typ: undefined }), "malformed"],
      ["a header with one member more", await sign(claims(), { jku: "https://evil.example/keys" }), "malformed"],
      ["signed by a stranger", await sign(claims(), {}, stranger), "unknown_key"],
      ["signed by a stranger in our name", await sign(claims(), { kid: keys.es256.kid }, stranger), "bad_signature"],
      ["naming the other key", await sign(claims(), { kid: keys.rs256.kid }), "bad_signature"],
      ["with a kid that is a path", await sign(claims(), { kid: "../../etc/passwd" }), "unknown_key"],
      [
        "HMAC over our public key",
        await new SignJWT(claims())
          .setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid: keys.rs256.kid })
          .sign(Buffer.from(keys.rs256.publicKey.export({ format: "pem", type: "spki" }).toString())),
        "bad_signature",
      ],
      [
        "another payload",
        `${header}.${Buffer.from(JSON.stringify(claims({ sub: "github:2" }))).toString("base64url")}.${signature}`,
        "bad_signature",
      ],
      ["an array", await sign([] as unknown as JWTPayload), "malformed"],
    ];
    for (const [name, token, fault] of rows) {
      expect({ name, found: await openOwn(token, keys) }).toEqual({ name, found: fault });
      expect({ name, found: await read(token) }).toEqual({ name, found: undefined });
    }
  });

  it("that is no credential, or not this broker's, is none though we signed it", async () => {
    const rows: readonly (readonly [string, string])[] = [
      ["a task token", await sign(claims(), { typ: "task+jwt" })],
      ["typ in another case", await sign(claims(), { typ: "AT+JWT" })],
      ["another issuer", await sign(claims({ iss: `${ISSUER}/` }))],
      ["without issuer", await sign({ exp: SECONDS + 60, lease_id: LEASE, task_id: TASK })],
      ["without exp", await sign({ iss: ISSUER, aud: ISSUER, lease_id: LEASE, task_id: TASK })],
      ["exp in words", await sign(claims({ exp: "tomorrow" as unknown as number }))],
      ["without its lease", await sign(claims({ lease_id: undefined }))],
      ["with a task for a lease", await sign(claims({ lease_id: TASK }))],
      ["without its task", await sign(claims({ task_id: undefined }))],
    ];
    for (const [name, token] of rows) {
      expect({ name, signed: await openOwn(token, keys) }).toMatchObject({ name, signed: { kid: keys.es256.kid } });
      expect({ name, found: await read(token) }).toEqual({ name, found: undefined });
    }
  });

  it("has one spelling only: spare bits of base64url make another token", async () => {
    const token = await sign(claims());
    const last = token.at(-1) ?? "";
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const twin = token.slice(0, -1) + (alphabet[alphabet.indexOf(last) ^ 1] ?? "");
    expect(Buffer.from(twin.split(".")[2] ?? "", "base64url").equals(Buffer.from(token.split(".")[2] ?? "", "base64url"))).toBe(true);
    expect(await openOwn(twin, keys)).toBe("bad_signature");
  });

  it("is never believed where jose would not believe it, whatever one character is changed", async () => {
    const token = await sign(claims());
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: token.length - 1 }), fc.constantFrom(..."ABab09-_.=+/ "), async (at, letter) => {
        const changed = token.slice(0, at) + letter + token.slice(at + 1);
        const isOurs = (await read(changed)) !== undefined;
        const jose = await jwtVerify(changed, keys.es256.publicKey, {
          issuer: ISSUER,
          typ: "at+jwt",
          algorithms: ["ES256"],
          currentDate: new Date(NOW),
        }).then(
          () => true,
          () => false,
        );
        if (isOurs) expect(jose).toBe(true);
        expect(isOurs).toBe(changed === token);
      }),
      { numRuns: 150 },
    );
  });

  it("is not judged at all while the keys cannot be read", async () => {
    const away = { find: () => Promise.reject(new Error("away")) };
    await expect(openOwn(await sign(claims()), away)).rejects.toThrow("away");
  });
});
