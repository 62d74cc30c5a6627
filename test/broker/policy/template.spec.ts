import { describe, expect, it } from "@jest/globals";
import { claimAt, claimPath, compileTemplate } from "../../../broker/policy/template.ts";

function render(text: string, claims: Record<string, unknown>): string | undefined {
  const template = compileTemplate(text);
  if ("error" in template) throw new Error(template.error);
  return template.render(claims);
}

describe("a template over claims", () => {
  it("joins literal text and claims of every scalar kind", () => {
    expect(render("github/${repository}#${run}.${protected}", { repository: "acme/shop", run: 7, protected: true })).toBe(
      "github/acme/shop#7.true",
    );
  });

  it("reaches nested members by JSON Pointer, with escapes and array indexes", () => {
    const claims = { "kubernetes.io": { namespace: "pay", "a/b": { "~": ["x", "y"] } } };
    expect(render("${/kubernetes.io/namespace}", claims)).toBe("pay");
    expect(render("${/kubernetes.io/a~1b/~0/1}", claims)).toBe("y");
  });

  it("takes a name with a slash in it as one claim", () => {
    expect(render("${oidc.circleci.com/project-id}", { "oidc.circleci.com/project-id": "P1" })).toBe("P1");
  });

  it("lists what it needs", () => {
    expect(compileTemplate("${a}-${/b/c}")).toMatchObject({ needs: ["a", "/b/c"] });
  });

  it.each([
    ["a missing claim", {}],
    ["an empty claim", { a: "" }],
    ["null", { a: null }],
    ["a list", { a: ["x"] }],
    ["an object", { a: { b: 1 } }],
    ["a fraction", { a: 1.5 }],
    ["a number beyond exact integers", { a: 2 ** 53 }],
    ["a line feed", { a: "x\n" }],
    ["a NUL", { a: "x\0y" }],
    ["a right-to-left override", { a: "x\u202ey" }],
    ["a lone surrogate", { a: "x\ud800" }],
    ["a value that is too long", { a: "x".repeat(1025) }],
  ])("renders nothing for %s", (_name, claims) => {
    expect(render("v/${a}", claims)).toBeUndefined();
  });

  it("never reads what a prototype provides", () => {
    expect(render("${constructor}", {})).toBeUndefined();
    expect(render("${/a/length}", { a: "text" })).toBeUndefined();
    expect(claimAt({ a: ["x"] }, ["a", "length"])).toBeUndefined();
  });

  it("renders nothing when the whole grows too long", () => {
    expect(render("${a}${a}${a}", { a: "x".repeat(1000) })).toBeUndefined();
  });

  it.each([
    ["", "is empty"],
    ["x${a", 'has "${" at column 2 without a closing "}"'],
    ["${}", "names no claim"],
    ["${a b}", "is not a claim's name"],
    ["${/a~2}", "is not a JSON Pointer"],
    ["a\nb", "holds a control character"],
    ["x".repeat(513), "is longer than 512 characters"],
  ])("refuses to compile %j", (text, message) => {
    expect(compileTemplate(text)).toEqual({ error: expect.stringContaining(message) });
  });

  it("tells a pointer from a name", () => {
    expect(claimPath("/a/b~1c")).toEqual(["a", "b/c"]);
    expect(claimPath("a/b")).toEqual(["a/b"]);
  });
});
