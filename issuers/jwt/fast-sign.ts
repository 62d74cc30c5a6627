import { sign, verify, type KeyObject } from "node:crypto";

/**
 * The one file that signs and verifies with `node:crypto` instead of jose, because it is on the path of every request
 * (decision: hot calls only, keys imported once). Tests hold it against jose on every algorithm. RFC 7515, RFC 7518 section 3.
 */
export type FastAlgorithm = "ES256" | "RS256";

/** A key that was imported once and signs many times. */
export interface FastSigningKey {
  readonly kid: string;
  readonly alg: FastAlgorithm;
  readonly privateKey: KeyObject;
}

/** The first segment of a token is the same for all that a key signs: encoded once per key and `typ`. */
const headers = new WeakMap<KeyObject, Map<string, string>>();

function headerOf(key: FastSigningKey, typ: string): string {
  let byType = headers.get(key.privateKey);
  if (byType === undefined) headers.set(key.privateKey, (byType = new Map<string, string>()));
  let header = byType.get(typ);
  if (header === undefined) {
    header = Buffer.from(JSON.stringify({ alg: key.alg, typ, kid: key.kid })).toString("base64url");
    byType.set(typ, header);
  }
  return header;
}

/** A compact JWS over these claims. `typ` is one of a few constants, never a caller's word. */
export function signCompact(key: FastSigningKey, typ: string, claims: Readonly<Record<string, unknown>>): string {
  const input = `${headerOf(key, typ)}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
  const signature =
    key.alg === "ES256"
      ? sign("sha256", Buffer.from(input, "latin1"), { key: key.privateKey, dsaEncoding: "ieee-p1363" })
      : sign("sha256", Buffer.from(input, "latin1"), key.privateKey);
  return `${input}.${signature.toString("base64url")}`;
}

/** Whether `signature` is this key's over `input` (the first two segments and the dot between them, as bytes). */
export function verifyCompact(
  key: { readonly alg: FastAlgorithm; readonly publicKey: KeyObject },
  input: Buffer,
  signature: Buffer,
): boolean {
  if (key.alg === "RS256") return verify("sha256", input, key.publicKey, signature);
  return signature.length === 64 && verify("sha256", input, { key: key.publicKey, dsaEncoding: "ieee-p1363" }, signature);
}
