import { base64url, compactVerify } from "jose";
import type { VerifyKey } from "./jwks.ts";
import { isObject, parseObject, type JsonObject } from "./json.ts";
import { isStatusSize, openStatuses, type StatusSize } from "./status-bits.ts";

/** A status list, verified and opened. Times are seconds. */
export interface StatusList {
  readonly size: StatusSize;
  readonly statuses: Uint8Array;
  readonly iat: number;
  /** Undefined where it does not say: then it is good for its `ttl` only. */
  readonly exp: number | undefined;
  readonly ttl: number;
}

export interface StatusTokenRules {
  readonly issuer: string;
  /** The URI that the token named: the list must be that one. */
  readonly uri: string;
  readonly algorithms: readonly string[];
  readonly find: (kid: string, alg: string) => Promise<VerifyKey>;
  /** Seconds. */
  readonly now: number;
  readonly toleranceSeconds: number;
  readonly maxBytes: number;
}

/** What a list that does not say is kept for, and the least and most that is believed. */
const DEFAULT_TTL = 60;
const MIN_TTL = 5;
const MAX_TTL = 3600;
const COMPACT = /^([\w-]{1,1368})\.([\w-]+)\.([\w-]{1,1368})$/;
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Verifies a status list token (draft-ietf-oauth-status-list-21 section 8.3): its type and nobody else's, a key of its issuer, the
 * URI as its `sub`, its times, and a list that opens. Throws an error that says what is wrong.
 */
export async function readStatusToken(token: string, rules: StatusTokenRules): Promise<StatusList> {
  const [, head, body] = COMPACT.exec(token) ?? [];
  if (head === undefined || body === undefined) throw new Error("it is no compact JWS");
  const { typ, alg, kid, crit } = objectOf(head);
  if (typeof typ !== "string" || !/^(?:application\/)?statuslist\+jwt$/i.test(typ)) throw new Error("its typ is not statuslist+jwt");
  if (typeof alg !== "string" || !rules.algorithms.includes(alg) || typeof kid !== "string" || crit !== undefined)
    throw new Error("its header is not accepted");
  const key = await rules.find(kid, alg);
  await compactVerify(token, key.key, { algorithms: [key.alg] });
  const { iss, sub, iat, exp, ttl = DEFAULT_TTL, status_list: list } = objectOf(body);
  if (sub !== rules.uri) throw new Error("it is another list by its sub");
  if (iss !== undefined && iss !== rules.issuer) throw new Error("it is of another issuer");
  if (!isSecond(iat) || iat > rules.now + rules.toleranceSeconds) throw new Error("it has no usable iat");
  if (exp !== undefined && (!isSecond(exp) || exp <= rules.now)) throw new Error("it has expired");
  if (!isSecond(ttl) || ttl === 0) throw new Error("it has no usable ttl");
  if (!isObject(list) || !isStatusSize(list["bits"]) || typeof list["lst"] !== "string") throw new Error("it holds no list");
  const statuses = await openStatuses(list["lst"], rules.maxBytes);
  return { size: list["bits"], statuses, iat, exp, ttl: Math.min(MAX_TTL, Math.max(MIN_TTL, ttl)) };
}

const isSecond = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value) && value >= 0;

const objectOf = (part: string): JsonObject => parseObject(UTF8.decode(base64url.decode(part)));
