import { hash } from "node:crypto";
import { BUCKETS } from "../../domain/ids.ts";

/** How far a reader of the feed has come: every entry up to these numbers, bucket by bucket, so everything up to the instant `asOf`. */
export interface Position {
  readonly vector: readonly number[];
  /** Milliseconds. */
  readonly asOf: number;
}

/** For whom a position was written: one of another store or another audience says nothing here. */
export interface PositionOwner {
  readonly storeId: string;
  readonly audience: string;
}

const LAYOUT = 1;
const MAX_TEXT = 4096;

/**
 * A position as text of at most 4 KiB, opaque outside: layout, first four bytes of the store's id and of the audience's SHA-256, then
 * `asOf` and the 64 numbers as varints, in base64url. Any broker of the store reads it.
 */
export function encodePosition(position: Position, owner: PositionOwner): string {
  const bytes: number[] = [LAYOUT, ...ownerBytes(owner)];
  putVarint(bytes, position.asOf);
  for (let bucket = 0; bucket < BUCKETS; bucket += 1) putVarint(bytes, position.vector[bucket] ?? 0);
  return Buffer.from(bytes).toString("base64url");
}

/** Reads a position of this store and audience back; undefined for anything else, however close. */
export function decodePosition(text: string, owner: PositionOwner): Position | undefined {
  if (text.length > MAX_TEXT || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  const bytes = Buffer.from(text, "base64url");
  // Compared back: base64url has spare bits, and one position has one spelling.
  if (bytes.toString("base64url") !== text) return undefined;
  const head = Buffer.from([LAYOUT, ...ownerBytes(owner)]);
  if (!bytes.subarray(0, head.length).equals(head)) return undefined;
  const cursor = { bytes, at: head.length };
  const asOf = takeVarint(cursor);
  const vector: number[] = [];
  for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
    const number = takeVarint(cursor);
    if (number === undefined) return undefined;
    vector.push(number);
  }
  return asOf === undefined || cursor.at !== bytes.length ? undefined : { vector, asOf };
}

const owners = new Map<string, readonly number[]>();
function ownerBytes({ storeId, audience }: PositionOwner): readonly number[] {
  const name = `${storeId} ${audience}`;
  const known = owners.get(name);
  if (known !== undefined) return known;
  const made = [
    ...Buffer.from(storeId.slice(0, 8).padStart(8, "0"), "hex"),
    ...Buffer.from(hash("sha256", audience, "hex").slice(0, 8), "hex"),
  ];
  // Stores and audiences come from configuration; a reload now and then must not make this grow for ever.
  if (owners.size >= 1000) owners.clear();
  owners.set(name, made);
  return made;
}

/** Little-endian groups of seven bits; numbers up to 2^53 - 1, so no bitwise operators. */
function putVarint(bytes: number[], number: number): void {
  let rest = number;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
}

function takeVarint(cursor: { readonly bytes: Buffer; at: number }): number | undefined {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = cursor.bytes[cursor.at];
    if (byte === undefined || scale > 2 ** 49) return undefined;
    cursor.at += 1;
    value += (byte % 128) * scale;
    if (value > Number.MAX_SAFE_INTEGER) return undefined;
    // A last group of nothing is a longer spelling of a shorter number.
    if (byte < 128) return byte === 0 && scale > 1 ? undefined : value;
  }
}
