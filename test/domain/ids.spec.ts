import { describe, expect, it } from "@jest/globals";
import { bitsOf, bucketOfId, instantOf, isId, newId } from "../../domain/ids.ts";

/** Hands out the same bytes each time. */
const bytes =
  (...given: readonly number[]) =>
  (buffer: Uint8Array): void =>
    buffer.set(given.slice(0, buffer.length));

describe("an id", () => {
  it("is its kind and a UUIDv7 in Crockford's base32, all 128 bits of it", () => {
    // RFC 9562 appendix A.6: 017F22E2-79B0-7CC3-98C4-DC0C0C07398F
    const random = bytes(0x7c, 0xc3, 0x98, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f);
    const id = newId("lease", 0x017f22e279b0, undefined, random);
    const value = Array.from(id.slice("lease_".length)).reduce(
      (sum, letter) => sum * 32n + BigInt("0123456789abcdefghjkmnpqrstvwxyz".indexOf(letter)),
      0n,
    );
    expect(value.toString(16).padStart(32, "0")).toBe("017f22e279b07cc398c4dc0c0c07398f");
    expect(isId("lease", id)).toBe(true);
    expect(isId("task", id)).toBe(false);
  });

  it.each([
    [0, 0],
    [1, 4095],
    [1_764_000_000_123, 0xabc],
    [2 ** 48 - 1, 0x801],
  ])("tells its instant %d and the bits %d it was given", (at, bits) => {
    const id = newId("task", at, bits);
    expect([instantOf(id), bitsOf(id), bucketOfId(id)]).toEqual([at, bits, bits % 64]);
    expect(isId("task", id)).toBe(true);
  });

  it("sorts by its time", () => {
    const ids = Array.from({ length: 50 }, (_, index) => newId("lease", 1_764_000_000_000 + index * 997));
    expect([...ids].sort()).toEqual(ids);
  });
});
