import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { decodePosition, encodePosition, type Position } from "../../../broker/feed/position.ts";
import { BUCKETS } from "../../../domain/ids.ts";

const owner = { storeId: "0f3a9c11-2b4d-4e7f-8a10-5c6d7e8f9a0b", audience: "https://deploy.shop.test" };
const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const position: fc.Arbitrary<Position> = fc.record({
  vector: fc.array(number, { minLength: BUCKETS, maxLength: BUCKETS }),
  asOf: fc.nat(4_000_000_000_000),
});

describe("a position", () => {
  it("is read back as it was written, in at most 4 KiB", () => {
    fc.assert(
      fc.property(position, (written) => {
        const text = encodePosition(written, owner);
        expect(text.length).toBeLessThanOrEqual(4096);
        expect(decodePosition(text, owner)).toEqual(written);
      }),
    );
  });

  it("says nothing to another store, and nothing to another audience", () => {
    fc.assert(
      fc.property(position, (written) => {
        const text = encodePosition(written, owner);
        expect(decodePosition(text, { ...owner, storeId: "1f3a9c11-2b4d-4e7f-8a10-5c6d7e8f9a0b" })).toBeUndefined();
        expect(decodePosition(text, { ...owner, audience: "https://other.shop.test" })).toBeUndefined();
      }),
    );
  });

  it("has one spelling: whatever else reads at all is another position", () => {
    fc.assert(
      fc.property(position, fc.nat(), fc.nat(255), (written, at, value) => {
        const text = encodePosition(written, owner);
        const bytes = Buffer.from(text, "base64url");
        bytes[at % bytes.length] = value;
        const changed = bytes.toString("base64url");
        const read = decodePosition(changed, owner);
        if (read !== undefined) expect(encodePosition(read, owner)).toBe(changed);
      }),
      { numRuns: 500 },
    );
  });

  it("is refused when it is cut short, drawn out, padded, or nonsense", () => {
    const text = encodePosition({ vector: Array.from({ length: BUCKETS }, (_, bucket) => bucket * 1000), asOf: 1_795_000_000_123 }, owner);
    const longer = (tail: readonly number[]): string =>
      Buffer.concat([Buffer.from(text, "base64url"), Buffer.from(tail)]).toString("base64url");
    for (let length = 0; length < text.length; length += 1) expect(decodePosition(text.slice(0, length), owner)).toBeUndefined();
    for (const wrong of [longer([0]), longer([0x80, 0]), `${text}=`, `${text} `, "", "AAAA", "-", "../..", "A".repeat(5000)])
      expect(decodePosition(wrong, owner)).toBeUndefined();
  });

  it("refuses numbers beyond what can be counted, and longer spellings of short ones", () => {
    const vector = Array.from({ length: BUCKETS }, () => 0);
    const bytes = Buffer.from(encodePosition({ vector, asOf: 0 }, owner), "base64url");
    const withLast = (...tail: readonly number[]): string =>
      Buffer.concat([bytes.subarray(0, -1), Buffer.from(tail)]).toString("base64url");
    expect(decodePosition(withLast(5), owner)?.vector.at(-1)).toBe(5);
    expect(decodePosition(withLast(0x85, 0x00), owner)).toBeUndefined();
    expect(decodePosition(withLast(...Array<number>(8).fill(0xff), 0x7f), owner)).toBeUndefined();
  });
});
