import { calculateJwkThumbprint, importJWK, type CryptoKey, type JWK } from "jose";
import { isObject } from "./json.ts";

interface Kind {
  readonly kty: string;
  readonly crv?: string;
  /** What a public key of this kind consists of, and nothing else. */
  readonly members: readonly string[];
}

const EC = ["kty", "crv", "x", "y"];
const RSA: Kind = { kty: "RSA", members: ["kty", "n", "e"] };
const KINDS: Readonly<Record<string, Kind>> = {
  ES256: { kty: "EC", crv: "P-256", members: EC },
  ES384: { kty: "EC", crv: "P-384", members: EC },
  Ed25519: { kty: "OKP", crv: "Ed25519", members: ["kty", "crv", "x"] },
  RS256: RSA,
  PS256: RSA,
};
/** Algorithms of proofs that can be checked. */
export const PROOF_ALGORITHMS: readonly string[] = Object.keys(KINDS);

/** Members that describe a key's use. */
const DESCRIBING: ReadonlySet<string> = new Set(["alg", "use", "kid", "key_ops"]);
/** 4096 bits, and an exponent of four bytes: what is larger takes us longer to check than its owner to make. */
const MAX_LENGTHS: Readonly<Record<string, number>> = { n: 683, e: 6 };

/** A key out of the header of a proof. */
export interface ProofKey {
  readonly alg: string;
  readonly key: CryptoKey | Uint8Array;
  /** RFC 7638, SHA-256. */
  readonly thumbprint: string;
}

/** The key, if it is public, of its algorithm's kind and on its curve; otherwise what is wrong with it. */
export async function readProofKey(jwk: unknown, alg: string): Promise<ProofKey | string> {
  const kind = KINDS[alg];
  if (kind === undefined) return "its algorithm is not accepted";
  if (!isObject(jwk)) return "its header has no jwk";
  const key: Record<string, string> = {};
  for (const [name, value] of Object.entries(jwk)) {
    if (DESCRIBING.has(name)) continue;
    if (!kind.members.includes(name)) return "its jwk has members that a public key of its algorithm has not";
    if (typeof value !== "string" || value.length > (MAX_LENGTHS[name] ?? 128)) return "its jwk is malformed or too large";
    key[name] = value;
  }
  if (key["kty"] !== kind.kty || key["crv"] !== kind.crv) return "its jwk is not of its algorithm's kind";
  if ((jwk["alg"] ?? alg) !== alg || (jwk["use"] ?? "sig") !== "sig") return "its jwk is for another use";
  try {
    const publicKey: JWK = key;
    return { alg, key: await importJWK(publicKey, alg), thumbprint: await calculateJwkThumbprint(publicKey) };
  } catch {
    return "its jwk is no usable key";
  }
}
