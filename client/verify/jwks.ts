import { type CryptoKey, type JWK, importJWK } from "jose";
import { RefusedJson, isObject, parseObject, type JsonObject } from "./json.ts";

/** A public key that may check signatures of one algorithm. The same key read twice is the same object. */
export interface VerifyKey {
  readonly kid: string;
  /** The only algorithm it is used with (RFC 8725 section 3.1). */
  readonly alg: string;
  readonly key: CryptoKey;
  /** The members it was made of. */
  readonly text: string;
}

/** Why a document was refused whole; for the log. */
export class JwksError extends Error {
  override readonly name: string = "JwksError";
}

const MAX_KEYS = 100;
const PRIVATE = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
const PUBLIC = ["kty", "crv", "x", "y", "n", "e"];
const CURVES: Readonly<Record<string, readonly string[]>> = {
  "P-256": ["ES256"],
  "P-384": ["ES384"],
  "P-521": ["ES512"],
  Ed25519: ["Ed25519", "EdDSA"],
};
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;

/**
 * Reads a JWK set (RFC 7517). Refused whole: duplicate members, more than 100 keys, any private or symmetric key (its publisher has
 * lost control of it), an id that stands for two keys, no usable key at all. Passed over: keys without an id, for another use or
 * algorithm, and RSA below 2048 bits or above 8192. Keys of `known` that have not changed are taken over. Throws JwksError.
 */
export async function readJwks(
  text: string,
  algorithms: readonly string[],
  known: readonly VerifyKey[] = [],
): Promise<readonly VerifyKey[]> {
  const entries = readDocument(text)["keys"];
  if (!Array.isArray(entries)) throw new JwksError("the key set has no list of keys");
  if (entries.length > MAX_KEYS) throw new JwksError(`the key set has more than ${MAX_KEYS} keys`);
  const keys: VerifyKey[] = [];
  for (const entry of entries as readonly unknown[]) {
    const key = await readKey(entry, algorithms, known);
    if (key === undefined) continue;
    if (keys.some(({ kid }) => kid === key.kid)) throw new JwksError("an id of the key set stands for two keys");
    keys.push(key);
  }
  if (keys.length === 0) throw new JwksError("the key set has no key that can be used");
  return keys;
}

function readDocument(text: string): JsonObject {
  try {
    return parseObject(text);
  } catch (error) {
    throw new JwksError(`the key set is refused: ${error instanceof RefusedJson ? error.message : "unreadable"}`);
  }
}

async function readKey(entry: unknown, algorithms: readonly string[], known: readonly VerifyKey[]): Promise<VerifyKey | undefined> {
  if (!isObject(entry)) throw new JwksError("the key set has an entry that is not an object");
  if (entry["kty"] === "oct" || PRIVATE.some((name) => Object.hasOwn(entry, name)))
    throw new JwksError("the key set publishes a private or symmetric key");
  const { kid, use, key_ops: operations } = entry;
  if (typeof kid !== "string" || kid === "" || kid.length > 256) return undefined;
  if (use !== undefined && use !== "sig") return undefined;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) return undefined;
  const alg = algorithmOf(entry, algorithms);
  if (alg === undefined) return undefined;
  const members = Object.fromEntries(PUBLIC.filter((name) => typeof entry[name] === "string").map((name) => [name, entry[name]]));
  const text = JSON.stringify(members);
  const same = known.find((key) => key.kid === kid && key.alg === alg && key.text === text);
  if (same !== undefined) return same;
  const key = await importPublic(members, alg);
  return key && { kid, alg, key, text };
}

/** Its `alg`, or the first of the allowed ones that fits its type. */
function algorithmOf({ kty, crv, alg }: JsonObject, algorithms: readonly string[]): string | undefined {
  const fits = (algorithm: string): boolean =>
    kty === "RSA"
      ? /^[RP]S/.test(algorithm)
      : (kty === "EC" || kty === "OKP") && typeof crv === "string" && (CURVES[crv] ?? []).includes(algorithm);
  return algorithms.filter(fits).find((algorithm) => alg === undefined || alg === algorithm);
}

async function importPublic(members: JsonObject, alg: string): Promise<CryptoKey | undefined> {
  try {
    const key = await importJWK(members as JWK, alg);
    if (key instanceof Uint8Array || key.type !== "public") return undefined;
    const { modulusLength: bits } = key.algorithm as { readonly modulusLength?: number };
    return bits === undefined || (bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS) ? key : undefined;
  } catch {
    return undefined; // one malformed key must not take the others with it
  }
}
