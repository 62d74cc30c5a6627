import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import { type KeySet, findKey, readJwks } from "../../../broker/attestation/jwks.ts";
import { idpKey } from "../../support/idp.ts";

type Jwk = Record<string, unknown>;
const jwk = async (algorithm: string, members: Jwk = {}): Promise<Jwk> => ({
  ...(await idpKey(algorithm)).publicKey.export({ format: "jwk" }),
  ...members,
});
const read = (
  keys: readonly unknown[],
  algorithms: readonly string[] = ["RS256", "PS256", "ES256", "ES384", "Ed25519"],
  spiffe = false,
): Promise<KeySet> => readJwks(JSON.stringify({ keys }), algorithms, spiffe);

describe("a key set", () => {
  it("gives each key one algorithm: its own, or the first of the trust's that fits", async () => {
    const set = await read([
      await jwk("RS256", { kid: "named", alg: "PS256" }),
      await jwk("RS256", { kid: "rsa" }),
      await jwk("ES384", { kid: "ec" }),
      await jwk("Ed25519", { kid: "ed", alg: "EdDSA" }),
    ]);
    expect(set.keys.map(({ kid, algorithm }) => [kid, algorithm])).toEqual([
      ["named", "PS256"],
      ["rsa", "RS256"],
      ["ec", "ES384"],
      ["ed", "Ed25519"],
    ]);
    expect(findKey(set, "rsa", "RS256")).toBeDefined();
    expect(findKey(set, "rsa", "PS256")).toBeUndefined();
    expect(findKey(set, "ed", "EdDSA")).toBeDefined();
  });

  it("passes over keys for another use, algorithm, curve or form", async () => {
    const good = await jwk("ES256", { kid: "good", use: "sig", key_ops: ["verify"] });
    const set = await read([
      good,
      { ...good, kid: "enc", use: "enc" },
      { ...good, kid: "wrap", key_ops: ["wrapKey"] },
      { ...good, kid: "mismatch", alg: "RS256" },
      { ...good, kid: "curve", crv: "secp256k1" },
      { ...good, kid: 7 },
      { ...good, kid: "off-curve", x: good["y"] },
      { kty: "EC", kid: "nothing" },
      { kty: "new-kind", kid: "new" },
      { kty: "RSA", kid: "short", n: "AQAB", e: "AQAB" },
    ]);
    expect(set.keys.map(({ kid }) => kid)).toEqual(["good"]);
  });

  it("passes over RSA keys that are weak or too costly", async () => {
    const small = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "jwk" });
    const good = await jwk("RS256", { kid: "good" });
    const set = await read([
      { ...small, kid: "1024" },
      { ...good, kid: "e=1", e: "AQ" },
      { ...good, kid: "e=2", e: "Ag" },
      { ...good, kid: "huge-e", e: good["n"] },
      good,
    ]);
    expect(set.keys.map(({ kid }) => kid)).toEqual(["good"]);
  });

  it("lets nobody use an id that stands for two keys", async () => {
    const set = await read([
      await jwk("ES256", { kid: "twin" }),
      await jwk("ES256", { kid: "twin" }),
      await jwk("ES256", { kid: "other" }),
    ]);
    expect(findKey(set, "twin", "ES256")).toBeUndefined();
    expect(findKey(set, "other", "ES256")).toBeDefined();
    expect(findKey(set, undefined, "ES256")).toBeUndefined();
  });

  it("finds the only key for a token without kid", async () => {
    const set = await read([await jwk("ES256")]);
    expect(findKey(set, undefined, "ES256")).toBeDefined();
    expect(findKey(set, undefined, "ES384")).toBeUndefined();
    expect(findKey(set, "unknown", "ES256")).toBeUndefined();
  });

  it.each([
    ["not JSON", "<html>", "is refused: not valid JSON"],
    ["nothing", "", "is refused: not valid JSON"],
    ["a member twice", '{"keys":[],"keys":[]}', "is refused: a member stands twice"],
    ["too deep", `{"keys":${"[".repeat(40)}${"]".repeat(40)}}`, "is refused: nested deeper"],
    ["no list", '{"keys":{}}', "has no list of keys"],
    ["no object", "[]", "is refused: not a JSON object"],
    ["an entry that is no object", '{"keys":["x"]}', "an entry that is not an object"],
    ["more than a hundred", JSON.stringify({ keys: Array.from({ length: 101 }, () => ({ kty: "EC" })) }), "more than 100 keys"],
    ["a symmetric key", '{"keys":[{"kty":"oct","k":"AAAA"}]}', "publishes a private or symmetric key"],
    ["a private member, even null", '{"keys":[{"kty":"EC","crv":"P-256","d":null}]}', "publishes a private or symmetric key"],
  ])("is refused whole: %s", async (_name, text, message) => {
    await expect(readJwks(text, ["ES256"], false)).rejects.toThrow(message);
  });

  it("of a SPIFFE bundle holds its jwt-svid keys and never its X.509 ones", async () => {
    const bundle = JSON.stringify({
      keys: [await jwk("ES256", { kid: "a1", use: "jwt-svid" }), await jwk("ES256", { use: "x509-svid", x5c: ["MIIB"] })],
      spiffe_sequence: 1,
      spiffe_refresh_hint: 300,
    });
    expect((await readJwks(bundle, ["ES256"], true)).keys.map(({ kid }) => kid)).toEqual(["a1"]);
    expect((await readJwks(bundle, ["ES256"], false)).keys).toEqual([]);
  });
});
