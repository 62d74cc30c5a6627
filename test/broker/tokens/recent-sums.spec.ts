import { describe, expect, it } from "@jest/globals";
import { hash } from "node:crypto";
import { RecentSums } from "../../../broker/tokens/recent-sums.ts";

const sumOf = (text: string): Buffer => hash("sha256", text, "buffer");
/** A sum like this one but for one bit. */
function flipped(sum: Buffer, bit: number): Buffer {
  const other = Buffer.from(sum);
  other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return other;
}

describe("recent sums", () => {
  it("know what was added, and nothing that differs from it in a single bit", () => {
    const sums = new RecentSums(2);
    const sum = sumOf("a token");
    expect(sums.has(sum)).toBe(false);
    sums.add(sum);
    expect(sums.has(Buffer.from(sum))).toBe(true);
    for (let bit = 0; bit < 256; bit += 1) expect([bit, sums.has(flipped(sum, bit))]).toEqual([bit, false]);
  });

  it("forget the one that was added or asked for longest ago where three share two places", () => {
    const sums = new RecentSums(2);
    const [first, second, third] = ["first", "second", "third"].map(sumOf) as [Buffer, Buffer, Buffer];
    sums.add(first);
    sums.add(second);
    expect([sums.has(second), sums.has(first)]).toEqual([true, true]);
    sums.add(third);
    expect([third, first, second].map((sum) => sums.has(sum))).toEqual([true, true, false]);
  });

  it("know nearly all of the last half of what they have room for, and never more than that room", () => {
    const [room, added] = [1024, 5000];
    const sums = new RecentSums(room);
    const all = Array.from({ length: added }, (_, index) => sumOf(`token ${index}`));
    for (const sum of all) sums.add(sum);
    // asked from the oldest on: what is asked for moves only within its own two places
    const known = all.map((sum) => sums.has(sum));
    expect(known.slice(-room / 2).filter(Boolean).length).toBeGreaterThan((room / 2) * 0.85);
    expect(known.filter(Boolean).length).toBeLessThanOrEqual(room);
    expect(known.at(-1)).toBe(true);
  });

  it("have a room that is a power of two", () => {
    for (const room of [0, 1, 1000, 2.5]) expect(() => new RecentSums(room)).toThrow(`${room} is no power of two`);
  });
});
