import { isUtf8 } from "node:buffer";
import { StintError } from "../../domain/errors.ts";
import { RefusedJson } from "../../domain/json.ts";
import { readFrom, type Claims } from "../../domain/principal.ts";
import { type JsonObject, parseJsonObject } from "./json-object.ts";

/** One token, at most. */
export const MAX_TOKEN_BYTES = 16_384;
const MAX_HEADER_CHARACTERS = 4096;

/** A token taken apart, nothing of it believed yet. */
export interface UnverifiedToken {
  readonly alg: string;
  readonly kid: string | undefined;
  /** Names of all header members. */
  readonly headerNames: readonly string[];
  readonly claims: Claims;
  /** `header.payload`, what the signature covers, as bytes: they are checked, and hashed. */
  readonly signingInput: Buffer;
  readonly signature: Buffer;
}

/** What a token's header says. */
type Header = Pick<UnverifiedToken, "alg" | "kid" | "headerNames">;

/**
 * Parameters by which a token would choose its own key, or change what is signed and how it is read: refused, not ignored.
 * RFC 7515 section 4.1 (`jku jwk x5u x5c crit`), RFC 7797 (`b64`), RFC 7516 (`enc zip` and company).
 */
const REFUSED_HEADERS = new Set([
  "crit",
  "jku",
  "jwk",
  "x5u",
  "x5c",
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
  "nonce",
  "url",
  "ppt",
  "svt",
  "cty",
]);
const KID = /^[A-Za-z0-9._~:/+=@-]{1,256}$/;

const refuse = (message: string): StintError => new StintError("invalid_identity", message);

/**
 * Takes a compact JWS apart by the letter: three parts of canonical base64url (no padding, no spaces, no stray bits), UTF-8 JSON
 * objects without a member twice, a plain JWT by its `typ`. Throws `invalid_identity` with facts of shape only.
 */
export function parseToken(token: string): UnverifiedToken {
  if (token === "") throw refuse("identity token is empty");
  if (token.length > MAX_TOKEN_BYTES) throw refuse(`identity token is longer than ${MAX_TOKEN_BYTES} bytes`);
  const parts = token.split(".", 6);
  if (parts.length === 5) throw refuse("identity token is encrypted (JWE); send a signed one");
  const [head, body, signature] = parts;
  if (parts.length !== 3 || head === undefined || body === undefined || signature === undefined) {
    throw refuse("identity token is not a compact JWT: three parts joined by dots are needed");
  }
  if (head.length > MAX_HEADER_CHARACTERS) throw refuse("identity token's header is too long");
  const { alg, kid, headerNames } = readHeader(head);
  const signed = decode(signature, "signature");
  if (signed.length === 0) throw refuse("identity token is not signed");
  const text = readText(body, "payload");
  const claims = readObject(text, "payload");
  readFrom(claims, text);
  const signingInput = Buffer.from(token.slice(0, head.length + 1 + body.length));
  return { alg, kid, headerNames, claims, signingInput, signature: signed };
}

/** All tokens of one key begin alike: what has been read once, letter by letter, says the same again. */
const READ = new Map<string, Header>();
const MOST_READ = 256;

function readHeader(head: string): Header {
  const known = READ.get(head);
  if (known !== undefined) return known;
  const header = readObject(readText(head, "header"), "header");
  const read: Header = { ...checkHeader(header), headerNames: Object.keys(header) };
  if (READ.size >= MOST_READ) READ.clear(); // strangers may send what they like
  READ.set(head, read);
  return read;
}

function checkHeader(header: JsonObject): { readonly alg: string; readonly kid: string | undefined } {
  for (const name of Object.keys(header)) {
    if (REFUSED_HEADERS.has(name)) throw refuse(`identity token's header has ${name}, which is not accepted`);
  }
  const { alg, kid, typ } = header;
  if (typeof alg !== "string" || alg === "") throw refuse("identity token's header names no algorithm");
  if (typ !== undefined && !isPlainJwt(typ)) throw refuse("token is not an identity token by its typ: JWT or none is needed");
  if (kid !== undefined && (typeof kid !== "string" || !KID.test(kid))) throw refuse("identity token's kid is malformed");
  return { alg, kid };
}

/**
 * Only `JWT`, `JOSE` or nothing: every other type (`at+jwt`, `task+jwt`, `dpop+jwt`, `secevent+jwt`, ...) is a token made for
 * another use, ours included. A name without a slash is read with `application/` before it. RFC 8725 section 3.11.
 */
function isPlainJwt(typ: unknown): boolean {
  return typeof typ === "string" && /^(?:application\/)?(?:jwt|jose)$/i.test(typ);
}

function decode(part: string, what: string): Buffer {
  const bytes = Buffer.from(part, "base64url");
  // The decoder skips what it does not know; only the canonical spelling survives the way back.
  if (bytes.toString("base64url") !== part) throw refuse(`identity token's ${what} is not canonical base64url`);
  return bytes;
}

function readText(part: string, what: string): string {
  const bytes = decode(part, what);
  if (!isUtf8(bytes)) throw refuse(`identity token's ${what} is refused: not UTF-8`);
  return bytes.toString("utf8");
}

function readObject(text: string, what: string): JsonObject {
  try {
    return parseJsonObject(text);
  } catch (error) {
    throw refuse(`identity token's ${what} is refused: ${error instanceof RefusedJson ? error.message : "unreadable"}`);
  }
}
