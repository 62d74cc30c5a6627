import { describe, expect, it } from "@jest/globals";
import { codeSpans, destination, exists, page, pages, read } from "./pages.ts";

const inside = pages.flatMap(({ path, links }) =>
  links.filter(({ target }) => !/^https?:/.test(target)).map((link) => ({ path, ...link })),
);

describe("the pages", () => {
  it("are read by this spec, links and all", () => {
    expect(pages.map(({ path }) => path)).toEqual(
      expect.arrayContaining(["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/operations.md"]),
    );
    expect(inside.length).toBeGreaterThan(40);
    expect(page("docs/cli.md").anchors).toContain("exit-codes");
  });

  it("lead only to files and headings that exist", () => {
    const broken = inside.filter(({ path, target }) => {
      const to = destination(path, target);
      if (!exists(to.path)) return true;
      return to.anchor !== undefined && !page(to.path).anchors.has(to.anchor);
    });
    expect(broken.map(({ path, line, target }) => `${path}:${line} ${target}`)).toEqual([]);
  });

  it("are each reached from the README or from another page", () => {
    const reached = new Set(inside.map(({ path, target }) => destination(path, target).path));
    const alone = pages
      .map(({ path }) => path)
      .filter((path) => path !== "README.md" && !reached.has(path) && !path.startsWith("docs/decisions/"));
    expect(alone).toEqual([]);
  });

  it("name only files that exist", () => {
    const places = ["", "broker/", "test/", "store/lua/", "docs/"];
    // a record that is superseded says what was
    const today = pages.filter(({ path }) => !/^Superseded by /m.test(read(path)));
    const named = today.flatMap((one) =>
      codeSpans(one)
        .filter(({ text }) => /^[\w@.-]+(?:\/[\w@.-]+)+\.(?:ts|mjs|lua|json|md)$/.test(text))
        .map(({ line, text }) => ({ path: one.path, line, text })),
    );
    expect(named.length).toBeGreaterThan(60);
    expect(
      named.filter(({ text }) => !places.some((place) => exists(place + text))).map(({ path, line, text }) => `${path}:${line} ${text}`),
    ).toEqual([]);
  });

  it("say nothing of a version that is not the package's", () => {
    const { version } = JSON.parse(read("package.json")) as { readonly version: string };
    expect(page("README.md").text).toContain(`Version ${version}.`);
  });
});

describe("the decisions", () => {
  const decisions = pages.filter(({ path }) => path.startsWith("docs/decisions/"));

  it("are numbered without a gap, under the name of their heading's number", () => {
    expect(decisions.map(({ path }) => Number(/\/(\d{4})-[a-z0-9-]+\.md$/.exec(path)?.[1]))).toEqual(
      decisions.map((_, index) => index + 1),
    );
    for (const { path, text } of decisions) expect(text).toMatch(new RegExp(`^# ${/\d{4}/.exec(path)?.[0] ?? ""}: \\S`));
  });

  it("have one form, and fewer than forty lines", () => {
    const headings = ["Context", "Decision", "Alternatives refused", "Security implications", "Consequences"];
    for (const { path, text, prose } of decisions) {
      expect({ path, headings: prose.filter((line) => line.startsWith("## ")).map((line) => line.slice(3)) }).toEqual({ path, headings });
      expect({ path, long: text.split("\n").length > 40 }).toEqual({ path, long: false });
    }
  });
});
