import { describe, expect, it } from "@jest/globals";
import { SignJWT, compactVerify, exportJWK, generateKeyPair } from "jose";
import { readJwks } from "../../../client/verify/jwks.ts";
import { isSignedBy } from "../../../client/verify/signature.ts";

const ALGORITHMS = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "Ed25519", "EdDSA"];

describe.each(ALGORITHMS)("a signature in %s", (alg) => {
  it("is good where jose says so, and bad where jose says so", async () => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const other = await generateKeyPair(alg, { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: "k", alg };
    const [key] = await readJwks(JSON.stringify({ keys: [jwk] }), [alg]);
    if (key === undefined) throw new Error("no key was read");
    const make = (signer: typeof privateKey): Promise<string> =>
      new SignJWT({ sub: "x" }).setProtectedHeader({ alg, typ: "at+jwt", kid: "k" }).sign(signer);
    const good = await make(privateKey);
    const [head, , signature = ""] = good.split(".");
    const flipped = signature.startsWith("A") ? `B${signature.slice(1)}` : `A${signature.slice(1)}`;
    const body = Buffer.from('{"sub":"y"}').toString("base64url");
    const cases = [
      good,
      await make(other.privateKey),
      good.replace(signature, flipped),
      good.replace(signature, signature.slice(0, -4)),
      good.replace(signature, `${signature}AAAA`),
      good.replace(signature, "AAAA"),
      `${head}.${body}.${signature}`,
    ];
    const answers = await Promise.all(cases.map((token) => isSignedBy(key, token)));
    expect(answers).toEqual([true, false, false, false, false, false, false]);
    const theirs = cases.map((token) =>
      compactVerify(token, publicKey, { algorithms: [alg] }).then(
        () => true,
        () => false,
      ),
    );
    expect(await Promise.all(theirs)).toEqual(answers);
  });
});

describe("a key set", () => {
  it("gives keys for the algorithms that are accepted, and one for each key", async () => {
    const { publicKey } = await generateKeyPair("RS256", { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: "k" };
    const read = (text: object, algorithms: readonly string[]) => readJwks(JSON.stringify(text), algorithms);
    expect(await read({ keys: [jwk] }, ["PS256", "RS256"])).toMatchObject([{ alg: "PS256" }]);
    expect(await read({ keys: [{ ...jwk, alg: "RS256" }] }, ["PS256", "RS256"])).toMatchObject([{ alg: "RS256" }]);
    await expect(read({ keys: [{ ...jwk, alg: "RS256" }] }, ["ES256"])).rejects.toThrow("the key set has no key that can be used");
    await expect(
      read(
        {
          keys: [
            { ...jwk, use: "enc" },
            { ...jwk, key_ops: ["sign"] },
            { ...jwk, kid: 7 },
          ],
        },
        ["RS256"],
      ),
    ).rejects.toThrow("no key that can be used");
    await expect(read({ keys: [jwk, jwk] }, ["RS256"])).rejects.toThrow("an id of the key set stands for two keys");
    await expect(read({ keys: [jwk, { kty: "oct", k: "AA", kid: "h" }] }, ["RS256"])).rejects.toThrow(
      "publishes a private or symmetric key",
    );
    await expect(read({ keys: Array.from({ length: 101 }, () => jwk) }, ["RS256"])).rejects.toThrow("more than 100 keys");
    await expect(readJwks('{"keys":[],"keys":[]}', ["RS256"])).rejects.toThrow("a member stands twice in one object");
  });

  it("passes over RSA keys that are too weak", async () => {
    const { publicKey } = await generateKeyPair("RS256", { extractable: true, modulusLength: 2048 });
    const weak = { kty: "RSA", n: Buffer.alloc(128, 0xc5).toString("base64url"), e: "AQAB", kid: "w", alg: "RS256" };
    const keys = await readJwks(JSON.stringify({ keys: [weak, { ...(await exportJWK(publicKey)), kid: "k", alg: "RS256" }] }), ["RS256"]);
    expect(keys.map(({ kid }) => kid)).toEqual(["k"]);
  });
});
