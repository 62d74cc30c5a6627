import { createHash, createPublicKey, sign, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { NULL, oid, sequence } from "./der.ts";
import { SIGNATURES, type SignatureId } from "./oids.ts";

/** RSA keys outside this are too weak, or cost too much to check. Bits. */
const RSA = { least: 2048, most: 4096 } as const;
const CURVES = ["prime256v1", "secp384r1"];

/** A CA's private key with the algorithm it signs with. */
export interface SigningKey {
  readonly key: KeyObject;
  readonly id: SignatureId;
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

/** A private key with the algorithm that suits it. */
export function signingKey(key: KeyObject): SigningKey {
  if (key.asymmetricKeyType === "ed25519") return { key, id: "1.3.101.112" };
  if (key.asymmetricKeyType === "rsa") return { key, id: "1.2.840.113549.1.1.11" };
  return { key, id: key.asymmetricKeyDetails?.namedCurve === "secp384r1" ? "1.2.840.10045.4.3.3" : "1.2.840.10045.4.3.2" };
}

/** The algorithm's identifier in DER; RSA says NULL for its parameters (RFC 4055), the others nothing. */
export const algorithmOf = ({ id }: SigningKey): Buffer => (SIGNATURES[id].key === "rsa" ? sequence(oid(id), NULL) : sequence(oid(id)));

/** RSA signs on a thread of the pool, since it takes a millisecond; the others are done sooner than a thread would begin. */
export async function signBytes({ key, id }: SigningKey, data: Uint8Array): Promise<Buffer> {
  const { hash, key: kind } = SIGNATURES[id];
  return kind === "rsa" ? signAsync(hash, data, key) : sign(hash, data, key);
}

/** SubjectPublicKeyInfo in the one form that we write. */
export const spkiOf = (key: KeyObject): Buffer => createPublicKeyOf(key).export({ type: "spki", format: "der" });
const createPublicKeyOf = (key: KeyObject): KeyObject => (key.type === "private" ? createPublicKey(key) : key);

/** Identifier of a key: the first 160 bits of SHA-256 over its SubjectPublicKeyInfo (RFC 7093 section 2, method 4). */
export const keyIdentifier = (spki: Uint8Array): Buffer => createHash("sha256").update(spki).digest().subarray(0, 20);
