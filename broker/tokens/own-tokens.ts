import type { KeyObject } from "node:crypto";
import { SKEW_MS } from "../../domain/time.ts";
import { verifyCompact, type FastAlgorithm } from "../../issuers/jwt/fast-sign.ts";

/** A key of ours, by the id a token names. */
export interface OwnKeys {
  find(kid: string): Promise<{ readonly kid: string; readonly alg: FastAlgorithm; readonly publicKey: KeyObject } | undefined>;
}

export interface OwnTokenChecks {
  /** `at+jwt` or `task+jwt`: a token of one kind is never taken for another (RFC 8725 section 3.11). */
  readonly typ: string;
  readonly keys: OwnKeys;
  /** `STINT_URL`: `iss` must be it, byte for byte. */
  readonly issuer: string;
  /** Milliseconds. */
  readonly now: number;
  /** When given, `aud` must be exactly this. */
  readonly audience?: string;
}

export const OWN_TOKEN_FAULTS = [
  "malformed",
  "wrong_type",
  "unknown_key",
  "bad_signature",
  "wrong_issuer",
  "wrong_audience",
  "expired",
  "not_yet_valid",
] as const;
/** Why a token is not a good one of ours. For the log and for choosing an error; callers of the outside learn less. */
export type OwnTokenFault = (typeof OWN_TOKEN_FAULTS)[number];

export type OwnToken =
  | { readonly valid: true; readonly kid: string; readonly claims: Readonly<Record<string, unknown>>; readonly expiresAt: number }
  | { readonly valid: false; readonly fault: OwnTokenFault };

/** One token may be this long (CONTRACT section 7). */
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
    if (!verifyCompact(key, token.slice(0, token.length - third.length - 1), signature)) return "bad_signature";
  }
  const payload = parsed(second);
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
    const { kid, typ, alg, ...more } = parsed(first) ?? {};
    const good = typeof kid === "string" && typeof typ === "string" && Object.keys(more).length === 0;
    read = { first, header: good ? { kid, typ, alg } : undefined };
  }
  return read.header;
}

/** Whether this is a token of this kind that we signed and that still lives by its own clock. Says nothing of the lease behind it. */
export async function verifyOwn(token: string, checks: OwnTokenChecks): Promise<OwnToken> {
  const opened = await openOwn(token, checks.keys);
  if (typeof opened === "string") return fault(opened);
  return opened.typ === checks.typ ? timely(opened.payload, opened.kid, checks) : fault("wrong_type");
}

/** What is left to check once the words are known to be ours. */
function timely(claims: Readonly<Record<string, unknown>>, kid: string, checks: OwnTokenChecks): OwnToken {
  const { iss, aud, exp, iat, nbf } = claims;
  if (typeof exp !== "number" || typeof iat !== "number") return fault("malformed");
  if (iss !== checks.issuer) return fault("wrong_issuer");
  if (checks.audience !== undefined && aud !== checks.audience) return fault("wrong_audience");
  // No allowance on `exp`: brokers of one store agree on the time, and dead is dead.
  if (checks.now >= exp * 1000) return fault("expired");
  if (iat * 1000 > checks.now + SKEW_MS || (typeof nbf === "number" && nbf * 1000 > checks.now + SKEW_MS)) return fault("not_yet_valid");
  return { valid: true, kid, claims, expiresAt: exp * 1000 };
}

const fault = (why: OwnTokenFault): OwnToken => ({ valid: false, fault: why });

function parsed(segment: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(segment, "base64url").toString("utf8"));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
