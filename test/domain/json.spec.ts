import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { RefusedJson, parseJson } from "../../domain/json.ts";

describe("JSON from outside", () => {
  it("is read as JSON.parse reads it when nothing is wrong with it", () => {
    expect(parseJson('{"a":[1,{"b":"x,{\\"y"},null],"c":{"a":1}}')).toEqual({ a: [1, { b: 'x,{"y' }, null], c: { a: 1 } });
  });

  it.each([
    { name: "a member twice", text: '{"a":1,"a":2}', says: "a member stands twice in one object" },
    { name: "a member twice, once escaped", text: '{"a":1,"\\u0061":2}', says: "a member stands twice in one object" },
    { name: "a member twice, deeper", text: '[{"x":{"b":[],"c":1,"b":0}}]', says: "a member stands twice in one object" },
    { name: "__proto__", text: '{"__proto__":{"admin":true}}', says: "a member name is not allowed here" },
    { name: "__proto__, escaped", text: '{"\\u005f_proto__":{}}', says: "a member name is not allowed here" },
    { name: "constructor", text: '{"a":{"constructor":{"prototype":{}}}}', says: "a member name is not allowed here" },
    { name: "17 levels", text: "[".repeat(17) + "]".repeat(17), says: "nested deeper than 16 levels" },
    { name: "100 KB of brackets", text: "[".repeat(50_000) + "]".repeat(50_000), says: "nested deeper than 16 levels" },
    { name: "no JSON", text: "{a:1}", says: "not valid JSON" },
    { name: "nothing", text: "", says: "not valid JSON" },
    { name: "two values", text: "{}{}", says: "not valid JSON" },
    { name: "a byte order mark", text: "\ufeff{}", says: "not valid JSON" },
  ])("is refused: $name", ({ text, says }) => {
    expect(() => parseJson(text)).toThrow(new RefusedJson(says));
  });

  it("may nest 16 levels and repeat a name in different objects", () => {
    expect(() => parseJson("[".repeat(16) + "]".repeat(16))).not.toThrow();
    expect(parseJson('[{"a":1},{"a":2}]')).toEqual([{ a: 1 }, { a: 2 }]);
  });

  it("agrees with JSON.parse on everything that JSON.stringify writes", () => {
    const names = fc.string({ maxLength: 8 }).filter((name) => !["__proto__", "constructor", "prototype"].includes(name));
    const { tree } = fc.letrec((tie) => ({
      leaf: fc.oneof(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)),
      tree: fc.oneof(
        { maxDepth: 4 },
        tie("leaf"),
        fc.array(tie("tree"), { maxLength: 4 }),
        fc.dictionary(names, tie("tree"), { maxKeys: 4, noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(tree, (value) => expect(parseJson(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)))),
      { numRuns: 200 },
    );
  });
});
