/**
 * DER (X.690), written from the inside out. Only what certificates and lists of ours need; reading is `der-read.ts`.
 */

/** Tag, length, content. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  let size = 0;
  for (const part of parts) size += part.length;
  return Buffer.concat([header(tag, size), ...parts]);
}

function header(tag: number, size: number): Buffer {
  if (size < 0x80) return Buffer.from([tag, size]);
  const bytes: number[] = [];
  for (let rest = size; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from([tag, 0x80 | bytes.length, ...bytes]);
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
export const set = (...parts: readonly Uint8Array[]): Buffer => der(0x31, ...parts);
export const octets = (content: Uint8Array): Buffer => der(0x04, content);
/** Whole bytes: no unused bits at the end. */
export const bits = (content: Uint8Array): Buffer => der(0x03, Buffer.from([0]), content);
/** A named bit list of at most eight bits, without its trailing zeros (X.690 section 11.2.2). */
export const flags = (byte: number, unused: number): Buffer => der(0x03, Buffer.from([unused, byte]));
export const TRUE = der(0x01, Buffer.from([0xff]));
export const NULL = der(0x05);
export const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text, "utf8"));
/** IA5String with a context tag, as names in a SAN and in a distribution point are. */
export const ia5 = (tag: number, text: string): Buffer => der(tag, Buffer.from(text, "latin1"));

/** A whole number of zero or more. */
export function integer(value: bigint): Buffer {
  const digits = value.toString(16);
  const bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, "hex");
  // a leading bit of 1 would make it negative
  return (bytes[0] ?? 0) < 0x80 ? der(0x02, bytes) : der(0x02, Buffer.from([0]), bytes);
}

/** `1.2.840.10045.2.1` */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift(0x80 | (left & 0x7f));
    bytes.push(...groups);
  }
  return der(0x06, Buffer.from(bytes));
}

/** UTCTime through 2049, GeneralizedTime after it (RFC 5280 section 4.1.2.5); whole seconds, rounded down. */
export function time(at: number): Buffer {
  const digits = new Date(at).toISOString().replace(/[-:T]|\.\d+/g, "");
  return digits < "2050" ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}

/** An extension with its value (RFC 5280 section 4.1). */
export const extension = (id: string, value: Uint8Array): Buffer => sequence(oid(id), octets(value));
/** One that who does not know it must refuse. */
export const criticalExtension = (id: string, value: Uint8Array): Buffer => sequence(oid(id), TRUE, octets(value));
