import { createHash, createPublicKey, sign, webcrypto, type KeyObject } from "node:crypto";
import { promisify } from "node:util";

/** RSA keys outside this are too weak, or cost too much to check. Bits. */
const RSA = { least: 2048, most: 4096 } as const;
const CURVES = ["prime256v1", "secp384r1"];

/** Hashes as WebCrypto names them, and as `node:crypto` does. No SHA-1. */
const HASHES: Readonly<Record<string, string>> = { "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512" };

/** How a key signs, in WebCrypto's words. */
export interface SigningAlgorithm {
  readonly name: "ECDSA" | "RSASSA-PKCS1-v1_5" | "Ed25519";
  readonly namedCurve?: string;
  readonly hash?: string;
}

/** A CA's private key with the algorithm it signs with: once for `node:crypto`, once for the library. */
export interface SigningKey {
  readonly key: KeyObject;
  readonly cryptoKey: webcrypto.CryptoKey;
  readonly algorithm: SigningAlgorithm;
}

const signAsync = promisify(
  (hash: string | undefined, data: Uint8Array, key: KeyObject, done: (error: Error | null, value: Buffer) => void) =>
    sign(hash, data, key, done),
);

/** Why this public key cannot be certified; undefined when it can: P-256, P-384, Ed25519, RSA of 2048 to 4096 bits. */
export function weakKey(key: KeyObject): string | undefined {
  const details = key.asymmetricKeyDetails;
  switch (key.asymmetricKeyType) {
    case "ed25519":
      return undefined;
    case "ec":
      return CURVES.includes(details?.namedCurve ?? "") ? undefined : "its curve must be P-256 or P-384";
    case "rsa": {
      const size = details?.modulusLength ?? 0;
      if (size < RSA.least || size > RSA.most) return `an RSA key must have ${RSA.least} to ${RSA.most} bits; it has ${size}`;
      const exponent = details?.publicExponent ?? 0n;
      return exponent >= 65_537n && exponent % 2n === 1n && exponent < 2n ** 32n ? undefined : "its RSA exponent must be 65537";
    }
    default:
      return "its key must be P-256, P-384, Ed25519 or RSA";
  }
}

/** A private key, imported once, with the algorithm that suits it. */
export async function signingKey(key: KeyObject): Promise<SigningKey> {
  const algorithm = algorithmOf(key);
  const der = key.export({ type: "pkcs8", format: "der" });
  return { key, algorithm, cryptoKey: await webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]) };
}

function algorithmOf(key: KeyObject): SigningAlgorithm {
  if (key.asymmetricKeyType === "ed25519") return { name: "Ed25519" };
  if (key.asymmetricKeyType === "rsa") return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  return key.asymmetricKeyDetails?.namedCurve === "secp384r1"
    ? { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" }
    : { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
}

/** The hash as `node:crypto` wants it (Ed25519: none); `null` where this algorithm is none that we take for such a key. */
export function hashFor(key: KeyObject, { name, hash }: { readonly name: string; readonly hash?: string }): string | undefined | null {
  if (algorithmOf(key).name !== name) return null;
  return name === "Ed25519" ? undefined : (HASHES[hash ?? ""] ?? null);
}

/** More than this takes longer to hash than a thread takes to begin. Bytes. */
const LONG = 65_536;

/** RSA signs on a thread of the pool, since it takes a millisecond, and so does who signs much; the rest is done sooner than that. */
export async function signBytes({ key, algorithm }: SigningKey, data: Uint8Array): Promise<Buffer> {
  const hash = hashFor(key, algorithm) ?? undefined;
  return algorithm.name === "RSASSA-PKCS1-v1_5" || data.length > LONG ? signAsync(hash, data, key) : sign(hash, data, key);
}

/** SubjectPublicKeyInfo in the one form that we write. */
export const spkiOf = (key: KeyObject): Buffer => createPublicKeyOf(key).export({ type: "spki", format: "der" });
const createPublicKeyOf = (key: KeyObject): KeyObject => (key.type === "private" ? createPublicKey(key) : key);

/** Identifier of a key: the first 160 bits of SHA-256 over its SubjectPublicKeyInfo (RFC 7093 section 2, method 4). */
export const keyIdentifier = (spki: Uint8Array): Buffer => createHash("sha256").update(spki).digest().subarray(0, 20);
