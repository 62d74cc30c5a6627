import { createHmac, timingSafeEqual, type KeyObject } from "node:crypto";
import { objectIn } from "../tokens/segment.ts";

/** RFC 8725 section 3.11: a type of its own, so that no other token of ours can pass for it. */
export const TASK_TOKEN_TYP = "task+jwt";
const ALG = "HS256";
/** Claims of 8 KiB and what stands beside them. */
const MAX_TOKEN = 16 * 1024;
const SHAPE = /^([A-Za-z0-9_-]{2,256})\.([A-Za-z0-9_-]{2,})\.([A-Za-z0-9_-]{43})$/;
const KID = /^[A-Za-z0-9_-]{43}$/;

/** Puts the broker's own mark on a task token's words and knows it again. */
export interface TaskSignatures {
  /** A compact JWS over this JSON text. */
  sign(payload: string): Promise<string>;
  /** What it says; undefined unless a broker of this store signed it under a key that still stands. */
  verify(token: string): Promise<Readonly<Record<string, unknown>> | undefined>;
}

/** Secrets by the names of signing keys; the store's `SigningKeys` fits. */
export interface TaskKeys {
  /** The one of the ES256 key that signs now. */
  currentTaskKey(): Promise<{ readonly kid: string; readonly secret: KeyObject }>;
  /** Undefined once the key of this name was withdrawn, or has left the JWKS. */
  taskKey(kid: string): Promise<KeyObject | undefined>;
}

/**
 * Task tokens are read by brokers alone, so they are signed as such: HMAC-SHA-256 under a secret that lives and ends with the ES256
 * signing key of its time. Withdrawing that key ends them, like every token of ours. Decision 0019.
 */
export function taskSignatures(keys: TaskKeys): TaskSignatures {
  return {
    async sign(payload) {
      const { kid, secret } = await keys.currentTaskKey();
      const input = `${headerOf(secret, kid)}.${Buffer.from(payload).toString("base64url")}`;
      return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
    },
    async verify(token) {
      const [, first, second, third] = (token.length <= MAX_TOKEN && SHAPE.exec(token)) || [];
      if (first === undefined || second === undefined || third === undefined) return undefined;
      const { kid } = objectIn(first) ?? {};
      // `kid` is whatever the bearer wrote: it is compared with names of keys, and goes nowhere else.
      const secret = typeof kid === "string" && KID.test(kid) ? await keys.taskKey(kid) : undefined;
      // The whole header is ours, letter by letter: no algorithm is read from the token.
      if (secret === undefined || first !== headerOf(secret, String(kid))) return undefined;
      const given = Buffer.from(third, "base64url");
      // Compared back: a token has one spelling, for its SHA-256 names it.
      if (given.toString("base64url") !== third) return undefined;
      const made = createHmac("sha256", secret)
        .update(token.slice(0, token.length - third.length - 1))
        .digest();
      return timingSafeEqual(given, made) ? objectIn(second) : undefined;
    },
  };
}

const headers = new WeakMap<KeyObject, string>();

/** The same for all tokens of a key. */
function headerOf(secret: KeyObject, kid: string): string {
  let header = headers.get(secret);
  if (header === undefined) {
    header = Buffer.from(JSON.stringify({ alg: ALG, typ: TASK_TOKEN_TYP, kid })).toString("base64url");
    headers.set(secret, header);
  }
  return header;
}

/** Whether the protected header says `typ: task+jwt`. A look, not a proof: it only chooses who checks the token. */
export function looksLikeTaskToken(token: string): boolean {
  const dot = token.indexOf(".");
  if (dot <= 0 || dot > 1024) return false;
  const head = token.slice(0, dot);
  if (head !== seen.head) seen = { head, looks: objectIn(head)?.["typ"] === TASK_TOKEN_TYP };
  return seen.looks;
}

/** Requests look twice, and the tokens of a platform begin alike. */
let seen = { head: "", looks: false };
