import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { toRfc3339 } from "../../domain/time.ts";

describe("a time as it is written", () => {
  it("is what Date writes, whatever was written before", () => {
    const last = 8_640_000_000_000_000;
    const instant = fc.oneof(
      fc.integer({ min: 1_767_225_600_000, max: 1_767_225_640_000 }), // seconds that share a place
      fc.integer({ min: -last, max: last }),
      fc.double({ min: -1e12, max: 1e13, noNaN: true }),
      fc.constantFrom(0, -0, -1, -999, 999, 253_402_300_799_999, 253_402_300_800_000),
    );
    fc.assert(
      fc.property(fc.array(instant, { minLength: 1, maxLength: 50 }), (instants) => {
        for (const ms of instants) expect(toRfc3339(ms)).toBe(new Date(ms).toISOString());
      }),
      { numRuns: 500 },
    );
  });

  it("is refused where there is none", () => {
    for (const ms of [Number.NaN, Number.POSITIVE_INFINITY, 8_640_000_000_000_001]) expect(() => toRfc3339(ms)).toThrow(RangeError);
  });
});
