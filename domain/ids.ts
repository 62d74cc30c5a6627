import { hash, randomFillSync } from "node:crypto";

export const ID_KINDS = ["lease", "task", "den", "rev", "lock", "evt"] as const;
export type IdKind = (typeof ID_KINDS)[number];
/** `lease_` + a UUIDv7 in 26 characters of Crockford base32, lower case. */
export type Id<K extends IdKind = IdKind> = `${K}_${string}`;
export type LeaseId = Id<"lease">;
export type TaskId = Id<"task">;
export type DenialId = Id<"den">;
export type RevocationId = Id<"rev">;
export type LockId = Id<"lock">;
export type EventId = Id<"evt">;

/** The store is cut into this many buckets, fixed for its life. */
export const BUCKETS = 64;

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
/** Two letters for each ten bits: half as many steps as one by one. */
const PAIRS: readonly string[] = Array.from({ length: 1024 }, (_, bits) => `${ALPHABET[bits >>> 5]}${ALPHABET[bits & 31]}`);
/** By the code of the letter. */
const VALUES: readonly number[] = Array.from({ length: 128 }, (_, code) => Math.max(0, ALPHABET.indexOf(String.fromCharCode(code))));
const BODY = /^[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}$/;

/** A source of random bytes; tests hand in one that repeats. */
export type RandomBytes = (buffer: Uint8Array) => void;

const POOL = new Uint8Array(4096);
let used = POOL.length;
/** Random bytes drawn from a pool: one system call serves 512 ids. */
export const pooledRandom: RandomBytes = (buffer) => {
  if (used + buffer.length > POOL.length) {
    randomFillSync(POOL);
    used = 0;
  }
  buffer.set(POOL.subarray(used, used + buffer.length));
  used += buffer.length;
};

const BITS = new Map<string, number>();
/** Subjects whose bits are remembered, of the last ones that asked. */
const MOST_SUBJECTS = 8_192;

/** First 12 bits of SHA-256(subject): they are `rand_a` of every id that belongs to the subject. A request asks several times for one. */
export function subjectBits(subject: string): number {
  let bits = BITS.get(subject);
  if (bits !== undefined) return bits;
  bits = Number.parseInt(hash("sha256", subject, "hex").slice(0, 3), 16);
  if (BITS.size >= MOST_SUBJECTS) BITS.clear();
  BITS.set(subject, bits);
  return bits;
}

/** The bucket a subject's records live in. */
export const bucketOfSubject = (subject: string): number => subjectBits(subject) % BUCKETS;

/**
 * A new id at the instant `at` (milliseconds). `bits` (12 bits) becomes `rand_a`, so that the id tells its bucket;
 * without it they are random. RFC 9562 section 5.7.
 */
export function newId<K extends IdKind>(kind: K, at: number, bits?: number, random: RandomBytes = pooledRandom): Id<K> {
  const bytes = new Uint8Array(16);
  random(bytes.subarray(6));
  bytes[0] = Math.floor(at / 2 ** 40) & 0xff;
  bytes[1] = Math.floor(at / 2 ** 32) & 0xff;
  bytes[2] = (at >>> 24) & 0xff;
  bytes[3] = (at >>> 16) & 0xff;
  bytes[4] = (at >>> 8) & 0xff;
  bytes[5] = at & 0xff;
  const randA = bits ?? (((bytes[6] ?? 0) << 8) | (bytes[7] ?? 0)) & 0xfff;
  bytes[6] = 0x70 | (randA >>> 8);
  bytes[7] = randA & 0xff;
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return `${kind}_${encode(bytes)}`;
}

function encode(bytes: Uint8Array): string {
  // 128 bits in 26 letters of five bits, the first of which holds only three.
  let text = "";
  let held = 2; // two leading zero bits make 130
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    held += 8;
    if (held < 10) continue;
    held -= 10;
    text += PAIRS[(value >>> held) & 1023];
    value &= (1 << held) - 1;
  }
  return text;
}

/** Whether the text is an id of this kind, as we write them. */
export function isId<K extends IdKind>(kind: K, text: unknown): text is Id<K> {
  return (
    typeof text === "string" && text.startsWith(`${kind}_`) && text.length === kind.length + 27 && BODY.test(text.slice(kind.length + 1))
  );
}

function valueOf(id: Id, from: number, to: number): number {
  const body = id.indexOf("_") + 1;
  let value = 0;
  for (let at = body + from; at < body + to && at < id.length; at += 1) value = value * 32 + (VALUES[id.charCodeAt(at)] ?? 0);
  return value;
}

/** The millisecond an id was made at: a lease's instant, which marks compare with. */
export const instantOf = (id: Id): number => valueOf(id, 0, 10);

/** The 12 bits of `rand_a`. They follow 48 bits of time and 4 of version; the first letter holds only three bits. */
export function bitsOf(id: Id): number {
  // letters 10..12 are bits 48..62: version (4), rand_a's 11 upper bits; letter 13 begins with its last bit
  const upper = valueOf(id, 10, 13) & 0x7ff;
  return (upper << 1) | (valueOf(id, 13, 14) >>> 4);
}

/** The bucket that holds what an id names. */
export const bucketOfId = (id: Id): number => bitsOf(id) % BUCKETS;
