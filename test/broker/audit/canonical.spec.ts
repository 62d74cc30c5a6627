import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { canonical, canonicalRecord } from "../../../broker/audit/canonical.ts";

describe("the short way to a record's canonical spelling", () => {
  const name = fc.oneof(
    fc.string(),
    fc.constantFrom("at", "seq", "bucket", "prev", "a\nb", "a", "b", "é", "10", "9", "__proto__", "\u{1f600}", "\ufb33"),
  );
  const member = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constant(undefined),
  );

  it("ends where the long one does, for flat records and deep ones", () => {
    const deep = fc.oneof(member, fc.boolean(), fc.constant(null), fc.array(fc.string()), fc.dictionary(name, fc.string()));
    for (const value of [member, deep]) {
      fc.assert(
        fc.property(fc.dictionary(name, value), (record) =>
          expect(canonicalRecord(record, "0f")).toBe(canonical({ ...record, prev: "0f" })),
        ),
        { numRuns: 300 },
      );
    }
  });

  it("does not depend on the order in which members came", () => {
    expect(canonicalRecord({ b: "x", a: 1 }, "0f")).toBe('{"a":1,"b":"x","prev":"0f"}');
    expect(canonicalRecord({ a: 1, b: "x" }, "0f")).toBe('{"a":1,"b":"x","prev":"0f"}');
  });
});
