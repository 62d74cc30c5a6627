/** A lease's id taken apart: its instant, and all of its bits in five words (30 bits each, the last 10). */
export interface LeaseId {
  readonly text: string;
  /** Milliseconds since 1970: what marks compare with. */
  readonly instant: number;
  readonly words: readonly [number, number, number, number, number];
}

const LEASE_ID = /^lease_[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}$/;
const PREFIX = "lease_".length;
const VALUES = new Uint8Array(128);
for (const [value, letter] of [..."0123456789abcdefghjkmnpqrstvwxyz"].entries()) VALUES[letter.charCodeAt(0)] = value;

/** Reads `lease_` + a UUIDv7 in 26 characters of Crockford base32, lower case; undefined when it is none. */
export function parseLeaseId(text: unknown): LeaseId | undefined {
  if (typeof text !== "string" || !LEASE_ID.test(text)) return undefined;
  // 128 bits in 26 digits: ten of them are the 48 bits of the instant, the first of which holds only three bits
  let instant = 0;
  for (let at = 0; at < 10; at++) instant = instant * 32 + digit(text, at);
  return { text, instant, words: [word(text, 0, 6), word(text, 6, 12), word(text, 12, 18), word(text, 18, 24), word(text, 24, 26)] };
}

const digit = (text: string, at: number): number => VALUES[text.charCodeAt(PREFIX + at)] ?? 0;

function word(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) value = (value << 5) | digit(text, at);
  return value;
}
