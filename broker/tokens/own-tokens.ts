import type { KeyObject } from "node:crypto";
import { verifyCompact, type FastAlgorithm } from "../../issuers/jwt/fast-sign.ts";
import { objectIn } from "./segment.ts";

/** A key of ours, by the id a token names. */
export interface OwnKeys {
  find(kid: string): Promise<{ readonly kid: string; readonly alg: FastAlgorithm; readonly publicKey: KeyObject } | undefined>;
}

/** One token may be this long. */
const MAX_TOKEN = 16 * 1024;
const SHAPE = /^([A-Za-z0-9_-]{2,1024})\.([A-Za-z0-9_-]{2,})\.([A-Za-z0-9_-]{2,1024})$/;

/** A token whose signature is ours; nothing else of it has been looked at. */
export interface SignedToken {
  readonly typ: string;
  readonly kid: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/**
 * Whether we signed this, and as what. Stricter than a verifier of other people's tokens need be: the header holds `alg`, `typ` and
 * `kid` and nothing else, and a token has one spelling. `signatureKnown` is for whoever has seen this very token verified. Throws only when the keys cannot be read (`store_unavailable`).
 */
export async function openOwn(
  token: string,
  keys: OwnKeys,
  signatureKnown = false,
): Promise<SignedToken | "malformed" | "unknown_key" | "bad_signature"> {
  const [, first, second, third] = (token.length <= MAX_TOKEN && SHAPE.exec(token)) || [];
  if (first === undefined || second === undefined || third === undefined) return "malformed";
  const header = headerIn(first);
  if (header === undefined) return "malformed";
  const { kid, typ, alg } = header;
  // `kid` is whatever the bearer wrote: it is compared with names of keys, and goes nowhere else.
  const key = /^[A-Za-z0-9_-]{43}$/.test(kid) ? await keys.find(kid) : undefined;
  if (key === undefined) return "unknown_key";
  if (alg !== key.alg) return "bad_signature";
  if (!signatureKnown) {
    const signature = Buffer.from(third, "base64url");
    // Compared back: base64url has spare bits, and one token must have one spelling, for its SHA-256 names it.
    if (signature.toString("base64url") !== third) return "bad_signature";
    if (!verifyCompact(key, Buffer.from(token.slice(0, token.length - third.length - 1)), signature)) return "bad_signature";
  }
  const payload = objectIn(second);
  return payload === undefined ? "malformed" : { typ, kid: key.kid, payload };
}

interface OwnHeader {
  readonly kid: string;
  readonly typ: string;
  readonly alg: unknown;
}

/** All tokens that a key signs in one way begin alike. */
let read: { readonly first: string; readonly header: OwnHeader | undefined } = { first: "", header: undefined };

function headerIn(first: string): OwnHeader | undefined {
  if (first !== read.first) {
    const { kid, typ, alg, ...more } = objectIn(first) ?? {};
    const good = typeof kid === "string" && typeof typ === "string" && Object.keys(more).length === 0;
    read = { first, header: good ? { kid, typ, alg } : undefined };
  }
  return read.header;
}
