import { calculateJwkThumbprint, importJWK, type CryptoKey, type JWK } from "jose";

/** Signature algorithms of proofs (`dpop_signing_alg_values_supported`): asymmetric only, each with the one kind of key it takes. */
const KEYS: Readonly<Record<string, { readonly kty: string; readonly crv?: string; readonly members: readonly string[] }>> = {
  ES256: { kty: "EC", crv: "P-256", members: ["crv", "kty", "x", "y"] },
  ES384: { kty: "EC", crv: "P-384", members: ["crv", "kty", "x", "y"] },
  Ed25519: { kty: "OKP", crv: "Ed25519", members: ["crv", "kty", "x"] },
  RS256: { kty: "RSA", members: ["e", "kty", "n"] },
  PS256: { kty: "RSA", members: ["e", "kty", "n"] },
};
export const PROOF_ALGORITHMS: readonly string[] = Object.keys(KEYS);

/** Members that say nothing of the key itself. Everything else, above all `d`, has no place in a public key. */
const ABOUT: ReadonlySet<string> = new Set(["alg", "use", "kid", "key_ops"]);
/** 4096 bits: checking a larger one costs us more than making it costs the caller. */
const MAX_MODULUS = 683;
const MAX_EXPONENT = 6;

/** A public key out of a proof's header, ready to check with. */
export interface ProofKey {
  readonly key: CryptoKey | Uint8Array;
  /** RFC 7638, SHA-256. */
  readonly thumbprint: string;
}

/** Imports the key of a proof. Throws a text that says what is wrong with it: it must be public, of the algorithm's kind, on its curve. */
export async function importProofKey(jwk: unknown, alg: string): Promise<ProofKey> {
  const expected = KEYS[alg];
  if (expected === undefined) throw new UnfitKey("its algorithm is not accepted");
  if (typeof jwk !== "object" || jwk === null || Array.isArray(jwk)) throw new UnfitKey("its header has no jwk");
  const given = jwk as Readonly<Record<string, unknown>>;
  const key: Record<string, string> = {};
  for (const [name, value] of Object.entries(given)) {
    if (ABOUT.has(name)) continue;
    if (!expected.members.includes(name)) throw new UnfitKey("its jwk has members that a public key of its algorithm has not");
    if (typeof value !== "string") throw new UnfitKey("its jwk is malformed");
    key[name] = value;
  }
  if (key["kty"] !== expected.kty || key["crv"] !== expected.crv) throw new UnfitKey("its jwk is not of its algorithm's kind");
  if (given["alg"] !== undefined && given["alg"] !== alg) throw new UnfitKey("its jwk is for another algorithm");
  if (given["use"] !== undefined && given["use"] !== "sig") throw new UnfitKey("its jwk is not for signatures");
  if ((key["n"] ?? "").length > MAX_MODULUS || (key["e"] ?? "").length > MAX_EXPONENT) throw new UnfitKey("its key is too large");
  try {
    return { key: await importJWK(key as JWK, alg), thumbprint: await calculateJwkThumbprint(key) };
  } catch {
    throw new UnfitKey("its jwk is no usable key");
  }
}

/** Why a key cannot be used; the message goes to the caller. */
export class UnfitKey extends Error {
  override readonly name = "UnfitKey";
}
