import { isObject, type JsonObject } from "./json.ts";
import { type LeaseId, parseLeaseId } from "./lease-id.ts";
import { FeedProtocolError } from "./lines.ts";
import { isMarkKind, type MarkKind } from "./marks.ts";

export interface RevokedLease {
  readonly id: LeaseId;
  /** Seconds since 1970. */
  readonly exp: number;
}

export interface FeedMark {
  readonly kind: MarkKind;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

const MAX_BATCH = 10_000;
const MAX_NAME = 1024;
/** An honest mark is at or before the instant it is read at; beyond this it would refuse tokens that nobody revoked. */
const MARK_AHEAD_MS = 60_000;
const POSITION = /^[A-Za-z0-9_-]{1,4096}$/;

/** The JSON object of an event or a line. Throws FeedProtocolError, as everything here. */
export function readJson(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FeedProtocolError("an event is not JSON");
  }
  if (!isObject(value)) throw new FeedProtocolError("an event is not a JSON object");
  return value;
}

/** A count or an instant in milliseconds. */
export function readWhole(data: JsonObject, name: string): number {
  const value = data[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new FeedProtocolError(`${name} is not a whole number`);
  return value;
}

/** Positions are opaque, but not without bounds. */
export function readPosition(value: unknown): string {
  if (typeof value !== "string" || !POSITION.test(value)) throw new FeedProtocolError("a position is malformed");
  return value;
}

/** `[["lease_...", exp], ...]` */
export function readLeases(value: unknown): readonly RevokedLease[] {
  if (!Array.isArray(value) || value.length > MAX_BATCH) throw new FeedProtocolError("leases are not a list, or too long a one");
  return value.map((entry: unknown): RevokedLease => {
    const [text, exp] = Array.isArray(entry) ? (entry as readonly unknown[]) : [];
    const id = parseLeaseId(text);
    if (id === undefined || typeof exp !== "number" || !Number.isFinite(exp) || exp < 0)
      throw new FeedProtocolError("an entry is not a lease and its exp");
    return { id, exp };
  });
}

/** `{scope, name, at}`; `now`: the broker's instant, or ours, whichever is later. */
export function readMark(data: JsonObject, now: number): FeedMark {
  const { scope: kind, name } = data;
  const at = readWhole(data, "at");
  // every computing issuer is ours alone: the broker says `all` or the grants, but an older one may say the issuer
  const known = kind === "issuer" ? "all" : kind;
  if (!isMarkKind(known)) throw new FeedProtocolError("a mark is on something unknown");
  if (known !== "all" && (typeof name !== "string" || name === "" || name.length > MAX_NAME))
    throw new FeedProtocolError("a mark names nothing");
  if (at > now + MARK_AHEAD_MS) throw new FeedProtocolError("a mark is from the future");
  return { kind: known, name: known === "all" ? "" : String(name), at };
}
