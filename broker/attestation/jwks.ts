import { KeyObject } from "node:crypto";
import { type CryptoKey, type JWK, importJWK } from "jose";
import { RefusedJson } from "../../domain/json.ts";
import { type JsonObject, isJsonObject, parseJsonObject } from "./json-object.ts";

/** A public key that may check signatures of one algorithm. */
export interface VerifyKey {
  readonly kid: string | undefined;
  /** The only algorithm it is used with (RFC 8725 section 3.1: one key, one algorithm). */
  readonly algorithm: string;
  readonly key: CryptoKey;
  /** The same key for `node:crypto`, which checks the two commonest algorithms at once. */
  readonly publicKey: KeyObject;
}

/** The usable keys of one trust, and of no other. */
export interface KeySet {
  readonly keys: readonly VerifyKey[];
  /** Ids that stood for two keys: nobody can say which is meant. */
  readonly ambiguous: ReadonlySet<string>;
}

/** Why a whole document was refused; for the log. */
export class JwksError extends Error {
  override readonly name: string = "JwksError";
}

const MAX_KEYS = 100;
const PRIVATE_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;
const CURVES: Readonly<Record<string, readonly string[]>> = {
  "P-256": ["ES256"],
  "P-384": ["ES384"],
  "P-521": ["ES512"],
  Ed25519: ["Ed25519", "EdDSA"],
};

/**
 * Reads a JWK set (RFC 7517) or a SPIFFE bundle. Refused whole: duplicate members, more than 100 keys, any private or symmetric key
 * (its publisher has lost control of it). Passed over: keys for another use, algorithm or curve, and RSA below 2048 bits.
 * `algorithms` are the trust's, in its order: a key that names none serves the first that fits it. Throws `JwksError`.
 */
export async function readJwks(text: string, algorithms: readonly string[], spiffe: boolean): Promise<KeySet> {
  const entries: unknown = readDocument(text)["keys"];
  if (!Array.isArray(entries)) throw new JwksError("key set has no list of keys");
  if (entries.length > MAX_KEYS) throw new JwksError(`key set has more than ${MAX_KEYS} keys`);
  const keys: VerifyKey[] = [];
  for (const entry of entries as readonly unknown[]) {
    const key = await readKey(entry, algorithms, spiffe);
    if (key) keys.push(key);
  }
  const ambiguous = new Set(
    keys.map(({ kid }) => kid).filter((kid, at, all): kid is string => kid !== undefined && all.indexOf(kid) !== at),
  );
  return { keys: keys.filter(({ kid }) => kid === undefined || !ambiguous.has(kid)), ambiguous };
}

function readDocument(text: string): JsonObject {
  try {
    return parseJsonObject(text);
  } catch (error) {
    throw new JwksError(`key set is refused: ${error instanceof RefusedJson ? error.message : "unreadable"}`);
  }
}

async function readKey(entry: unknown, algorithms: readonly string[], spiffe: boolean): Promise<VerifyKey | undefined> {
  if (!isJsonObject(entry)) throw new JwksError("key set has an entry that is not an object");
  if (entry["kty"] === "oct" || PRIVATE_MEMBERS.some((name) => Object.hasOwn(entry, name)))
    throw new JwksError("key set publishes a private or symmetric key");
  const { kid, use, key_ops: operations } = entry;
  if (kid !== undefined && typeof kid !== "string") return undefined;
  if (use !== undefined && use !== "sig" && !(spiffe && use === "jwt-svid")) return undefined;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) return undefined;
  const algorithm = algorithmOf(entry, algorithms);
  if (algorithm === undefined) return undefined;
  const key = await importPublic(entry, algorithm);
  return key && { kid, algorithm, key, publicKey: KeyObject.from(key) };
}

function algorithmOf(entry: JsonObject, algorithms: readonly string[]): string | undefined {
  const { kty, crv, alg } = entry;
  const fits = (algorithm: string): boolean =>
    kty === "RSA"
      ? /^[RP]S/.test(algorithm)
      : (kty === "EC" || kty === "OKP") && typeof crv === "string" && (CURVES[crv] ?? []).includes(algorithm);
  const allowed = algorithms.filter(fits);
  if (alg === undefined) return allowed[0];
  return allowed.find((algorithm) => algorithm === alg || (isEd25519(algorithm) && isEd25519(alg)));
}

/** `EdDSA` over this curve and `Ed25519` are one algorithm under two names (RFC 9864). */
const isEd25519 = (algorithm: unknown): boolean => algorithm === "Ed25519" || algorithm === "EdDSA";

async function importPublic(entry: JsonObject, algorithm: string): Promise<CryptoKey | undefined> {
  const members = ["kty", "crv", "x", "y", "n", "e"].filter((name) => typeof entry[name] === "string").map((name) => [name, entry[name]]);
  try {
    const key = await importJWK(Object.fromEntries(members) as JWK, algorithm);
    if (key instanceof Uint8Array || key.type !== "public") return undefined;
    return strongEnough(key) ? key : undefined;
  } catch {
    return undefined; // one malformed key must not take the others with it
  }
}

function strongEnough(key: CryptoKey): boolean {
  const { modulusLength, publicExponent } = key.algorithm as { readonly modulusLength?: number; readonly publicExponent?: Uint8Array };
  if (modulusLength === undefined) return true;
  // A huge modulus or exponent makes each check cost us what its sender likes; an even or tiny exponent proves nothing.
  if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS || publicExponent === undefined) return false;
  const exponent = Buffer.from(publicExponent).toString("hex").replace(/^0+/, "");
  return exponent.length <= 8 && Number.parseInt(exponent, 16) >= 3 && Number.parseInt(exponent, 16) % 2 === 1;
}

/** The key that must have signed: by `kid`, or the only one there is when the token names none. */
export function findKey(set: KeySet, kid: string | undefined, algorithm: string): VerifyKey | undefined {
  if (kid === undefined && set.ambiguous.size > 0) return undefined;
  const named = kid === undefined ? set.keys : set.keys.filter((key) => key.kid === kid);
  const [only, another] = named;
  if (only === undefined || another !== undefined) return undefined;
  return only.algorithm === algorithm || (isEd25519(only.algorithm) && isEd25519(algorithm)) ? only : undefined;
}
