import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { posix } from "node:path";
import { isLoose, loosePath, readPath } from "../../actions/path.ts";

const path = (target: string): string | undefined => {
  const read = readPath(target);
  return "path" in read ? read.path : undefined;
};
const fault = (target: string): string | undefined => {
  const read = readPath(target);
  return "fault" in read ? read.fault : undefined;
};

describe("the path of a request", () => {
  it.each([
    ["/", "/"],
    ["/deploy/prod", "/deploy/prod"],
    ["/deploy/prod/", "/deploy/prod/"],
    ["/deploy?dry_run=%2f..%2f", "/deploy"],
    ["/%64eploy", "/deploy"],
    ["/a%20b", "/a b"],
    ["/caf%C3%A9", "/café"],
    ["/users/{userId}", "/users/{userId}"],
    ["/users/%7BuserId%7D", "/users/{userId}"],
    ["/v1/things/a:cancel", "/v1/things/a:cancel"],
    ["/.well-known/x", "/.well-known/x"],
    ["/a.b/c..d", "/a.b/c..d"],
  ])("%s is read as %s", (target, wanted) => {
    expect(path(target)).toBe(wanted);
  });

  it.each([
    ["/a%2fb", "the path holds an encoded slash"],
    ["/a%2Fb", "the path holds an encoded slash"],
    ["/a%5cb", "the path holds an encoded backslash"],
    ["/a\\b", "the path holds a backslash"],
    ["/a%252fb", "the path holds a double encoding"],
    ["/100%25", "the path holds a double encoding"],
    ["/a;jsessionid=1/b", "the path holds a path parameter"],
    ["/a%3bb", "the path holds a path parameter"],
    ["/a%3fb", "the path holds an encoded question mark"],
    ["/a%23b", "the path holds an encoded number sign"],
    ["/a#b", "the path holds a fragment"],
    ["/a//b", "the path holds two slashes in a row"],
    ["//evil.test/a", "the path holds two slashes in a row"],
    ["/a/../b", "the path holds a segment of dots"],
    ["/a/%2e%2e/b", "the path holds a segment of dots"],
    ["/a/.%2E", "the path holds a segment of dots"],
    ["/./a", "the path holds a segment of dots"],
    ["/a/...", "the path holds a segment of dots"],
    ["/a/..%20/b", "the path holds a segment of dots"],
    ["/a%00", "the path holds a control character"],
    ["/a%0d%0ab", "the path holds a control character"],
    ["/a\nb", "the path holds a space or a control character"],
    ["/a b", "the path holds a space or a control character"],
    ["/a%c0%afb", "the path is not UTF-8"],
    ["/a%ff", "the path is not UTF-8"],
    ["/a%", "the path holds a percent sign that encodes nothing"],
    ["/a%u002f", "the path holds a percent sign that encodes nothing"],
    ["/a%ef%bc%8fb", "the path holds characters that have another form"],
    ["/e%cc%81", "the path holds characters that have another form"],
    ["/a%e2%80%8bb", "the path holds a control character"],
    ["/a%e2%80%aeb", "the path holds a control character"],
    ["/café", "the path holds a character that belongs percent-encoded"],
    ["http://deploy.test/a", "the target is not a path that begins with a slash"],
    ["*", "the target is not a path that begins with a slash"],
    ["", "the target is not a path that begins with a slash"],
    ["?a", "the target is not a path that begins with a slash"],
    [`/${"a".repeat(5000)}`, "the path is longer than 4096 characters"],
  ])("%s is refused", (target, wanted) => {
    expect(fault(target)).toBe(wanted);
  });

  const anything = fc.oneof(
    fc.string({
      unit: fc.constantFrom("/", ".", "%", "2", "f", "5", "c", "a", "A", ";", "\\", "?", "e", " ", "é", "\u0000"),
      maxLength: 24,
    }),
    fc.string({ maxLength: 24 }),
  );

  it("that is accepted is the same to whoever reads URLs, normalises paths or decodes again", () => {
    fc.assert(
      fc.property(anything, (text) => {
        const target = `/${text}`;
        const read = path(target);
        if (read === undefined) return;
        expect(decodeURIComponent(new URL(`http://x.test${target}`).pathname)).toBe(read);
        expect(posix.normalize(read)).toBe(read);
        expect(decodeURIComponent(read)).toBe(read);
        expect(read).not.toMatch(/\/\/|\\|%|;|\?|#/);
      }),
      { numRuns: 5000 },
    );
  });

  it("is the same however many of its characters are encoded, or it is refused", () => {
    const segment = fc.string({ unit: fc.constantFrom("a", "B", "9", "-", ".", "_", "~", ":", "@", "é", " "), minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 4 }), fc.infiniteStream(fc.boolean()), (segments, chance) => {
        const plain = `/${segments.map(encodeURIComponent).join("/")}`;
        const encoded = plain.replaceAll(/%[0-9A-F]{2}|[^/]/g, (part) =>
          part.length > 1 || chance.next().value !== true ? part : `%${part.charCodeAt(0).toString(16)}`,
        );
        expect(path(encoded)).toBe(path(plain));
      }),
    );
  });

  it("takes no longer for a long run of dots", () => {
    const started = performance.now();
    readPath(`/${".".repeat(4000)}x/${" ".repeat(10)}`);
    loosePath(`/${".".repeat(4000)}x`);
    readPath(`/${"%2e".repeat(1300)}x`);
    expect(performance.now() - started).toBeLessThan(50);
  });
});

describe("the most lenient reading of a path", () => {
  it.each([
    ["/Admin/", "/admin"],
    ["/admin. ", "/admin"],
    ["/a ./b", "/a/b"],
    ["/", "/"],
  ])("of %s is %s", (text, wanted) => {
    expect(loosePath(text)).toBe(wanted);
    expect(isLoose(text)).toBe(text !== wanted);
  });
});
