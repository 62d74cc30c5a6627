import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { compileCondition, valueOf, type Condition } from "../../../broker/policy/conditions.ts";
import type { Condition as ConditionDocument } from "../../../broker/policy/document.ts";
import { compileGlob } from "../../../actions/glob.ts";
import { compileRegex, regexPrefix } from "../../../actions/regex.ts";

const compiled = (document: ConditionDocument, name = "ref", how: Partial<Parameters<typeof compileCondition>[2]> = {}): Condition => {
  const condition = compileCondition(name, document, { foldCase: false, effect: "allow", anchor: false, ...how });
  if (typeof condition === "string") throw new Error(condition);
  return condition;
};
const holds = (document: ConditionDocument, value: unknown, how: Partial<Parameters<typeof compileCondition>[2]> = {}): boolean =>
  compiled(document, "ref", how).test(value);

describe("a condition", () => {
  const rows: readonly {
    readonly name: string;
    readonly condition: ConditionDocument;
    readonly yes: readonly unknown[];
    readonly no: readonly unknown[];
  }[] = [
    {
      name: "a value is equal by type and case",
      condition: "main",
      yes: ["main"],
      no: ["Main", "main ", "main\n", "", undefined, null, true, ["main"], { main: 1 }],
    },
    { name: "true is not the text true", condition: true, yes: [true], no: ["true", 1, undefined, "1", null] },
    { name: "a number is not its text", condition: 5, yes: [5], no: ["5", 5.5, [5], undefined] },
    {
      name: "a list is one of",
      condition: ["production", 1],
      yes: ["production", 1],
      no: ["staging", "1", ["production"], undefined, null],
    },
    {
      name: "a glob's * stops at / and :",
      condition: { glob: "refs/heads/release-*" },
      yes: ["refs/heads/release-", "refs/heads/release-1.2"],
      no: ["refs/heads/release-1/x", "refs/heads/release-1:x", "xrefs/heads/release-1", 5, ["refs/heads/release-1"], undefined],
    },
    { name: "a glob's ** does not stop", condition: { glob: "refs/**" }, yes: ["refs/", "refs/heads/a:b/c"], no: ["ref", "Refs/heads/a"] },
    {
      name: "brackets, question marks and braces of a glob are themselves",
      condition: { glob: "a[bot]?{x}*" },
      yes: ["a[bot]?{x}y"],
      no: ["ab?{x}y", "a[bot]zx"],
    },
    {
      name: "not holds for other values and for a missing claim",
      condition: { not: "dependabot[bot]" },
      yes: ["alice", "", undefined],
      no: ["dependabot[bot]", 5, null, ["alice"], true],
    },
    { name: "not a list", condition: { not: ["a", "b"] }, yes: ["c", undefined], no: ["a", "b", 1] },
    { name: "not a glob", condition: { not: { glob: "refs/pull/**" } }, yes: ["refs/heads/main", undefined], no: ["refs/pull/7/merge", 7] },
    {
      name: "a regular expression matches the whole value",
      condition: { regex: "^refs/heads/(?:main|v[0-9]+)$" },
      yes: ["refs/heads/main", "refs/heads/v12"],
      no: ["refs/heads/main\n", "\nrefs/heads/main", "refs/heads/mainx", undefined, 5, ["refs/heads/main"]],
    },
    { name: "an alternative does not slip past an anchor", condition: { regex: "^a|b$" }, yes: ["a", "b"], no: ["ax", "xb"] },
    {
      name: "includes looks into a list",
      condition: { includes: "x" },
      yes: [["x"], ["a", "x"]],
      no: ["x", "axb", [["x"]], { x: "x" }, [], undefined],
    },
    {
      name: "includes with split looks into a text",
      condition: { includes: "us-east-1", split: "," },
      yes: ["us-east-1", "eu,us-east-1"],
      no: ["us-east-10", "eu, us-east-1", ["us-east-1"], "", undefined],
    },
  ];
  it.each(rows)("$name", ({ condition, yes, no }) => {
    for (const value of yes) expect([value, holds(condition, value)]).toEqual([value, true]);
    for (const value of no) expect([value, holds(condition, value)]).toEqual([value, false]);
  });

  it("folds A to Z where the platform does, and nothing else", () => {
    expect(holds("Acme/Shop", "acme/SHOP", { foldCase: true })).toBe(true);
    expect(holds(["Prod"], "PROD", { foldCase: true })).toBe(true);
    expect(holds({ glob: "Acme/*" }, "aCME/x", { foldCase: true })).toBe(true);
    expect(holds({ regex: "^Acme/k[a-z]*$" }, "ACME/KX", { foldCase: true })).toBe(true);
    expect(holds({ not: "Bot" }, "bOT", { foldCase: true })).toBe(false);
    // The Kelvin sign and the long s fold to k and s in Unicode.
    for (const wanted of ["k", { glob: "k*" }, { regex: "^k$" }] as const) expect(holds(wanted, "\u212a", { foldCase: true })).toBe(false);
  });

  it("counts a doubt for the side of safety: control characters and overlong values", () => {
    for (const odd of ["refs/pull/7\n", "refs/pull/\u0000", `refs/pull/${"x".repeat(5000)}`]) {
      for (const wanted of [{ glob: "refs/pull/**" }, { regex: "^refs/pull/[^/]*$" }] as const) {
        expect(holds(wanted, odd)).toBe(false);
        expect(holds(wanted, odd, { effect: "deny" })).toBe(true);
      }
      expect(holds({ not: { glob: "refs/pull/**" } }, odd)).toBe(false);
      expect(holds({ not: { glob: "refs/heads/**" } }, odd, { effect: "deny" })).toBe(true);
    }
  });

  it("finds nested claims by JSON Pointer, own members only", () => {
    const claims = { "kubernetes.io": { namespace: "payments", "a/b": { "m~n": 1 } }, list: ["x"], "oidc.circleci.com/project-id": "P1" };
    const at = (name: string): unknown => valueOf(claims, compiled("x", name));
    expect(at("/kubernetes.io/namespace")).toBe("payments");
    expect(at("/kubernetes.io/a~1b/m~0n")).toBe(1);
    expect(at("/list/0")).toBe("x");
    expect(at("oidc.circleci.com/project-id")).toBe("P1");
    for (const name of [
      "/list/length",
      "/list/-1",
      "/list/00",
      "/kubernetes.io/constructor",
      "/__proto__/x",
      "__proto__",
      "constructor",
      "toString",
      "/kubernetes.io/namespace/length",
    ])
      expect(at(name)).toBeUndefined();
  });

  it("finds a claim that is called __proto__ only where the token says it itself", () => {
    const claims = JSON.parse('{"__proto__":"x"}') as Record<string, unknown>;
    expect(valueOf(claims, compiled("x", "__proto__"))).toBe("x");
    expect(valueOf({}, compiled("x", "__proto__"))).toBeUndefined();
  });

  const anyCondition: fc.Arbitrary<ConditionDocument> = fc.oneof(
    fc.string(),
    fc.boolean(),
    fc.array(fc.string(), { minLength: 1, maxLength: 3 }),
    fc.string({ minLength: 1 }).map((text) => ({ glob: text.replaceAll("***", "") + "*a" })),
    fc.string({ minLength: 1 }).map((includes) => ({ includes })),
  );
  it("is met by a missing claim only if it is a not", () => {
    fc.assert(fc.property(anyCondition, (condition) => expect(holds(condition, undefined)).toBe(false)));
    fc.assert(
      fc.property(fc.string(), fc.array(fc.string(), { minLength: 1 }), (one, list) =>
        expect([holds({ not: one }, undefined), holds({ not: list }, undefined)]).toEqual([true, true]),
      ),
    );
  });

  it("never throws, whatever the claim holds", () => {
    const conditions = [
      compiled("a"),
      compiled(["a", 1]),
      compiled({ glob: "a*b**c" }),
      compiled({ regex: "^a+$" }),
      compiled({ not: { glob: "*" } }),
      compiled({ includes: "a", split: "," }),
      compiled({ includes: 1 }),
    ];
    fc.assert(
      fc.property(fc.anything(), (value) => conditions.forEach((condition) => expect(typeof condition.test(value)).toBe("boolean"))),
    );
  });

  it.each([
    { name: "two forms at once", condition: { glob: "a*", regex: "^a$" }, message: "exactly one of" },
    { name: "split without includes", condition: { glob: "a*", split: "," }, message: '"split" belongs to "includes"' },
    { name: "a number to be found in a split text", condition: { includes: 1, split: "," }, message: "must be text" },
    { name: "three stars", condition: { glob: "a***" }, message: "three or more" },
    { name: "an expression without an anchor", condition: { regex: "main$" }, message: "not anchored" },
    { name: "an expression whose last dollar is escaped", condition: { regex: "^main\\$" }, message: "not anchored" },
    { name: "an expression with lookahead", condition: { regex: "^(?=a)a$" }, message: "cannot be compiled" },
    { name: "an expression that explodes when written out", condition: { regex: "^((a{100}){100})$" }, message: /large|repeat/ },
  ] as const)("is refused: $name", ({ condition, message }) => {
    const result = compileCondition("ref", condition, { foldCase: false, effect: "allow", anchor: false });
    expect(result).toEqual(typeof message === "string" ? expect.stringContaining(message) : expect.stringMatching(message));
  });

  it("is refused when its name is not a JSON Pointer", () => {
    expect(compileCondition("/a~2", "x", { foldCase: false, effect: "allow", anchor: false })).toContain("JSON Pointer");
  });
});

describe("a glob", () => {
  /** The obvious way, which backtracks. */
  const naive = (pattern: string, value: string): boolean => {
    if (pattern === "") return value === "";
    if (pattern.startsWith("**")) return naive(pattern.slice(2), value) || (value !== "" && naive(pattern, value.slice(1)));
    if (pattern.startsWith("*"))
      return naive(pattern.slice(1), value) || (value !== "" && !/^[/:]/.test(value) && naive(pattern, value.slice(1)));
    return value !== "" && pattern[0] === value[0] && naive(pattern.slice(1), value.slice(1));
  };
  it("equals the naive reference", () => {
    const piece = fc.constantFrom("a", "b", "/", ":", "*", "**");
    const pattern = fc.array(piece, { minLength: 1, maxLength: 8 }).map((pieces) => pieces.join("").replace(/\*{3,}/g, "**"));
    const value = fc.array(fc.constantFrom("a", "b", "/", ":", "*"), { maxLength: 10 }).map((letters) => letters.join(""));
    fc.assert(
      fc.property(pattern, value, (text, subject) => {
        const match = compileGlob(text);
        expect(typeof match === "function" && match(subject)).toBe(naive(text, subject));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("work on hostile values", () => {
  const elapsed = (run: () => void): number => {
    const start = performance.now();
    run();
    return performance.now() - start;
  };
  it("is linear: patterns that backtrack for ages elsewhere are decided at once", () => {
    const subject = "a".repeat(4000);
    const globs = [`${"*a".repeat(30)}b`, `${"**a".repeat(30)}*b`, "a*".repeat(40) + "b"].map((glob) => compiled({ glob }));
    const regexes = ["^(a+)+$", "^(a|aa)+$", "^(.*)(.*)(.*)(.*)(.*)b$", "^(?:a?){30}a{30}$"].map((regex) => compiled({ regex }));
    for (const condition of [...globs, ...regexes]) {
      condition.test(subject);
      expect(elapsed(() => condition.test(`${subject}b`))).toBeLessThan(100);
    }
    expect(elapsed(() => globs.forEach((condition) => condition.test("a".repeat(64_000))))).toBeLessThan(20);
  });
});

describe("what an expression must begin with", () => {
  it.each([
    ["^spiffe://td/pay/[a-z]+$", "spiffe://td/pay/"],
    ["^ab*c$", "a"],
    ["^a\\.b$", "a.b"],
    ["^a|b$", ""],
    ["^.*$", ""],
  ])("of %s is %j", (source, prefix) => {
    expect(regexPrefix(source)).toBe(prefix);
    expect(typeof compileRegex(source, false)).toBe("function");
  });
});
