import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { leaseHasher } from "../../../client/verify/lease-hash.ts";
import { parseLeaseId } from "../../../client/verify/lease-id.ts";
import { RevokedSet } from "../../../client/verify/revoked-set.ts";
import { instantOf, newId } from "../../../domain/ids.ts";

const word = (): number => (Math.random() * 2 ** 32) | 0;

describe("a set of revoked leases", () => {
  it("says what a map would say, whatever is added, ends and is forgotten", () => {
    // few hashes, many of them in one shard and one slot, so that they meet
    const hash = fc.record({
      high: fc.constantFrom(0, 1, 2 ** 24, -1),
      low: fc.constantFrom(0, 1, 2, -(2 ** 31), -1, -2),
    });
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ kind: fc.constant("add" as const), hash, exp: fc.integer({ min: 1, max: 100 }) }) },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant("fill" as const),
          count: fc.integer({ min: 1, max: 40 }),
          exp: fc.integer({ min: 1, max: 100 }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("compact" as const), by: fc.integer({ min: 0, max: 30 }) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const set = new RevokedSet();
        const model = new Map<string, number>();
        const hashes = new Map<string, { high: number; low: number }>();
        let horizon = 0;
        let filled = 0;
        const add = (one: { high: number; low: number }, exp: number): void => {
          const key = `${one.high}/${one.low}`;
          expect(set.add(one, exp)).toBe(true);
          hashes.set(key, one);
          model.set(key, Math.max(model.get(key) ?? 0, exp));
        };
        for (const one of steps) {
          if (one.kind === "add") add(one.hash, one.exp);
          else if (one.kind === "fill")
            for (let at = 0; at < one.count; at++) add({ high: 7, low: Math.imul(++filled, 0x9e3779b1) }, one.exp);
          else {
            horizon += one.by;
            set.compact(horizon, 256);
          }
          for (const [key, exp] of model) if (exp > horizon) expect(set.has(hashes.get(key) ?? { high: 0, low: 0 })).toBe(true);
        }
        set.compact(horizon, 256);
        const live = [...model].filter(([, exp]) => exp > horizon);
        expect(set.size).toBe(live.length);
        for (const [key, exp] of model) expect(set.has(hashes.get(key) ?? { high: 0, low: 0 })).toBe(exp > horizon);
        expect(set.has({ high: 7, low: 0 })).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  it("holds a million in 24 MB at most, at every size on the way, and gives the memory back", () => {
    const set = new RevokedSet();
    let worst = 0;
    for (let count = 1; count <= 1_000_000; count++) {
      set.add({ high: word(), low: word() }, 1000);
      if (count % 5_000 === 0 && count >= 50_000) worst = Math.max(worst, set.byteLength / count);
    }
    expect(set.size).toBe(1_000_000);
    expect(set.byteLength).toBeLessThanOrEqual(24_000_000);
    expect(worst).toBeLessThanOrEqual(24);
    set.compact(1000, 256);
    expect(set.size).toBe(0);
    expect(set.byteLength).toBe(0);
  });

  it("forgets a part at a time, and what is left stays found", () => {
    const set = new RevokedSet();
    const kept = Array.from({ length: 2_000 }, () => ({ high: word(), low: word() }));
    for (const one of kept) set.add(one, 2_000);
    for (let count = 0; count < 20_000; count++) set.add({ high: word(), low: word() }, 1_000);
    const before = set.byteLength;
    set.compact(1_000, 1);
    expect(set.size).toBeGreaterThan(21_000);
    for (let call = 0; call < 32; call++) set.compact(1_000, 8);
    expect(set.size).toBe(2_000);
    expect(set.byteLength).toBeLessThan(before / 4);
    expect(kept.every((one) => set.has(one))).toBe(true);
  });

  it("knows ends beyond the year 2038", () => {
    const set = new RevokedSet();
    set.add({ high: 1, low: 2 }, 2 ** 31 + 10);
    set.add({ high: 1, low: 2 }, 2 ** 31 - 10);
    set.compact(2 ** 31 + 9, 256);
    expect(set.has({ high: 1, low: 2 })).toBe(true);
    set.compact(2 ** 31 + 10, 256);
    expect(set.has({ high: 1, low: 2 })).toBe(false);
  });

  it("makes room by forgetting before it grows, and says when there is none", () => {
    const set = new RevokedSet(10);
    for (let at = 0; at < 10; at++) expect(set.add({ high: 1, low: at }, 5)).toBe(true);
    expect(set.add({ high: 1, low: 10 }, 5)).toBe(false);
    expect(set.add({ high: 1, low: 3 }, 9)).toBe(true); // known already: only its end moves
    expect(set.has({ high: 1, low: 10 })).toBe(false);
    set.compact(5, 256);
    expect(set.size).toBe(1);
    expect(set.add({ high: 1, low: 10 }, 9)).toBe(true);
  });
});

describe("the hash of a lease", () => {
  it("is another under another seed, and the same under the same", () => {
    const id = parseLeaseId(newId("lease", 1_795_000_000_000));
    if (id === undefined) throw new Error("not an id");
    const seed = new Uint32Array([1, 2]);
    expect(leaseHasher(seed)(id)).toEqual(leaseHasher(new Uint32Array([1, 2]))(id));
    expect(leaseHasher(seed)(id)).not.toEqual(leaseHasher(new Uint32Array([1, 3]))(id));
    expect(leaseHasher()(id)).not.toEqual(leaseHasher()(id));
  });

  it("depends on every character of the id, and fills its 64 bits evenly", () => {
    const hash = leaseHasher(new Uint32Array([0xdeadbeef, 0x12345678]));
    const base = "lease_01arz3ndektsv4rrffq69g5fav";
    const hashes = new Set<string>();
    for (let at = 7; at < base.length; at++) {
      const id = parseLeaseId(base.slice(0, at) + (base[at] === "z" ? "y" : "z") + base.slice(at + 1));
      if (id !== undefined) hashes.add(JSON.stringify(hash(id)));
    }
    expect(hashes.size).toBe(base.length - 7);
    const bits = Array.from({ length: 64 }, () => 0);
    for (let count = 0; count < 4_000; count++) {
      const id = parseLeaseId(newId("lease", 1_795_000_000_000 + count));
      if (id === undefined) throw new Error("not an id");
      const { high, low } = hash(id);
      for (let bit = 0; bit < 32; bit++) {
        bits[bit] = (bits[bit] ?? 0) + ((low >>> bit) & 1);
        bits[bit + 32] = (bits[bit + 32] ?? 0) + ((high >>> bit) & 1);
      }
    }
    for (const ones of bits) expect(Math.abs(ones - 2_000)).toBeLessThan(200);
  });
});

describe("the id of a lease", () => {
  it("tells its instant as the broker reads it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (at) => {
        const id = newId("lease", at);
        expect(parseLeaseId(id)).toMatchObject({ text: id, instant: instantOf(id) });
      }),
    );
  });

  it.each([
    "lease_",
    "lease_01arz3ndektsv4rrffq69g5fa",
    "lease_01arz3ndektsv4rrffq69g5favx",
    "LEASE_01arz3ndektsv4rrffq69g5fav",
    "lease_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "lease_81arz3ndektsv4rrffq69g5fav",
    "lease_01arz3ndektsv4rrffq69g5fau",
    "task_01arz3ndektsv4rrffq69g5fav",
    7,
    null,
  ])("is not %s", (text) => {
    expect(parseLeaseId(text)).toBeUndefined();
  });
});
