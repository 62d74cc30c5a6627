import { base64url } from "jose";
import { VerifyError } from "./errors.ts";
import { RefusedJson, parseObject, type JsonObject } from "./json.ts";

/** One token, at most. */
export const MAX_TOKEN_CHARACTERS = 16_384;
const MAX_HEADER_CHARACTERS = 1024;

/** What a token says of itself before anything of it is believed. */
export interface TokenHeader {
  readonly alg: string;
  readonly kid: string;
  /** As it stands in the token. */
  readonly text: string;
  /** All of it. */
  readonly members: JsonObject;
}

/**
 * Members by which a token would choose its own key, or change what is signed and how it is read: refused, not ignored.
 * RFC 7515 section 4.1, RFC 7797, RFC 7516.
 */
const REFUSED = [
  "crit",
  "jku",
  "jwk",
  "x5u",
  "x5c",
  "x5t",
  "x5t#S256",
  "b64",
  "zip",
  "enc",
  "epk",
  "apu",
  "apv",
  "iv",
  "tag",
  "p2s",
  "p2c",
  "cty",
];
const COMPACT = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;
const KID = /^[A-Za-z0-9._~:/+=@-]{1,256}$/;
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/**
 * Reads the header of a compact JWS by the letter: three parts of canonical base64url, no member twice, an access token by its
 * `typ` (RFC 9068 section 4; `application/` may be left out, case does not count), a `kid`. `known`: headers read before, by their
 * text; all tokens of one key have the same. Throws VerifyError.
 */
export function readHeader(token: string, known?: ReadonlyMap<string, TokenHeader>): TokenHeader {
  if (token.length > MAX_TOKEN_CHARACTERS) throw new VerifyError("too_large");
  const [, head, body, signature] = COMPACT.exec(token) ?? [];
  if (head === undefined || body === undefined || signature === undefined)
    throw new VerifyError("malformed", { detail: "three parts of base64url are needed" });
  if (head.length > MAX_HEADER_CHARACTERS) throw new VerifyError("too_large", { detail: "its header" });
  if (!isCanonical(head) || !isCanonical(body) || !isCanonical(signature))
    throw new VerifyError("malformed", { detail: "its base64url is not canonical" });
  const read = known?.get(head);
  if (read !== undefined) return read;
  const members = readObject(base64url.decode(head), "header");
  const refused = REFUSED.find((name) => Object.hasOwn(members, name));
  if (refused !== undefined) throw new VerifyError("header_refused", { detail: refused });
  const { alg, kid, typ } = members;
  if (typeof typ !== "string" || !/^(?:application\/)?at\+jwt$/i.test(typ)) throw new VerifyError("wrong_type");
  if (typeof alg !== "string") throw new VerifyError("algorithm_refused");
  if (typeof kid !== "string" || !KID.test(kid))
    throw new VerifyError("unknown_key", { detail: "it names no key, or not as keys are named" });
  return { alg, kid, text: head, members };
}

/** The claims of a token whose header was read and whose signature is good. Throws VerifyError. */
export function readClaims(token: string): JsonObject {
  const start = token.indexOf(".") + 1;
  return readObject(base64url.decode(token.slice(start, token.indexOf(".", start))), "payload");
}

function readObject(bytes: Uint8Array, what: string): JsonObject {
  try {
    return parseObject(UTF8.decode(bytes));
  } catch (error) {
    throw new VerifyError("malformed", { detail: `its ${what}: ${error instanceof RefusedJson ? error.message : "not UTF-8"}` });
  }
}

/** Decoders pass over stray bits at the end, so one token would have several spellings. */
function isCanonical(part: string): boolean {
  const rest = part.length % 4;
  if (rest === 0) return true;
  const last = DIGITS.indexOf(part.charAt(part.length - 1));
  return rest === 2 ? last % 16 === 0 : rest === 3 && last % 4 === 0;
}
