/** The few shapes of RFC 4251 section 5 that keys, certificates and revocation lists are made of. */

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export const u64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};

/** A `string`: its length, then its bytes. Text is UTF-8. */
export const string = (value: string | Uint8Array): Buffer => {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([u32(bytes.length), bytes]);
};

/** A positive `mpint` from its big-endian bytes: as short as can be, with a zero before a first bit that is set. */
export const mpint = (value: Uint8Array): Buffer => {
  const start = value.findIndex((byte) => byte !== 0);
  if (start === -1) return u32(0);
  const bytes = value.subarray(start);
  return string((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
};

/** The bytes are not what they should be. The message is for whoever sent them and holds none of them. */
export class MalformedKey extends Error {
  override readonly name = "MalformedKey";
}

/** Reads what somebody else wrote, byte for byte; throws `MalformedKey` at the first that is wrong. */
export class Reader {
  readonly #bytes: Buffer;
  #at = 0;
  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  get left(): number {
    return this.#bytes.length - this.#at;
  }
  take(length: number): Buffer {
    if (length > this.left) throw new MalformedKey("it is cut off");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
  u32(): number {
    return this.take(4).readUInt32BE();
  }
  u64(): bigint {
    return this.take(8).readBigUInt64BE();
  }
  string(): Buffer {
    return this.take(this.u32());
  }
  text(): string {
    return this.string().toString("latin1");
  }
  /** A positive `mpint` as its magnitude; another way to write the same number is refused, so that a key has one form. */
  mpint(): Buffer {
    const bytes = this.string();
    const [first, second] = bytes;
    if (first === undefined || first >= 0x80) throw new MalformedKey("a number in it is not positive");
    if (first !== 0) return bytes;
    if (second === undefined || second < 0x80) throw new MalformedKey("a number in it is padded");
    return bytes.subarray(1);
  }
  end(): void {
    if (this.left > 0) throw new MalformedKey("bytes follow its end");
  }
}
