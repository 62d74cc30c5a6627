import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { Secret } from "../../../domain/secret.ts";
import { signatureOf, signRequest, type Unsigned } from "../../../issuers/http/signature.ts";

type Verifier = (request: { method: string; url: string; headers: Record<string, string> }, body: string) => boolean;
type CreateVerifier = (of: { key: string; origin: string; now?: () => number }) => Verifier;

const root = join(import.meta.dirname, "../../../..");
const recipe = join(root, "examples/http-maker/verify.mjs");
const NOW = 1_772_452_800_000;
const KEY = "a-key-of-at-least-thirty-two-characters";
const ORIGIN = "https://maker.acme.example";

let createVerifier: CreateVerifier;
beforeAll(async () => {
  ({ createVerifier } = (await import(pathToFileURL(recipe).href)) as { createVerifier: CreateVerifier });
});

const ORDER: Unsigned = { method: "POST", url: `${ORIGIN}/credentials`, body: '{"lease_id":"x"}' };
const arrives = (of: Unsigned, headers: Readonly<Record<string, string>>) => ({
  method: of.method,
  url: of.url.slice(ORIGIN.length),
  headers: { ...headers },
});

describe("a signed request", () => {
  it("is signed as RFC 9421 appendix B.2.5 signs its example", () => {
    const secret = Buffer.from("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==", "base64");
    const parts = [
      ["date", "Tue, 20 Apr 2021 02:07:55 GMT"],
      ["@authority", "example.com"],
      ["content-type", "application/json"],
    ] as const;
    expect(signatureOf(parts, '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"', secret)).toBe(
      "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
    );
  });

  it("carries the digest of its body as RFC 9530 writes it", () => {
    const headers = signRequest({ ...ORDER, body: '{"hello": "world"}' }, new Secret(KEY), "stint", NOW);
    expect(headers["content-digest"]).toBe("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
  });

  it("is believed by the recipe of the documentation, whatever it carries, and once only", () => {
    const verify = createVerifier({ key: KEY, origin: ORIGIN, now: () => NOW });
    fc.assert(
      fc.property(
        fc.constantFrom("POST", "GET", "DELETE"),
        fc.webPath(),
        fc.option(fc.json(), { nil: undefined }),
        fc.boolean(),
        (method, path, body, handle) => {
          const url = ORIGIN + path;
          const request: Unsigned = { method, url, body, ...(handle && { covered: { "stint-handle": "h-1" } }) };
          const came = arrives(request, signRequest(request, new Secret(KEY), "stint", NOW));
          expect(verify(came, body ?? "")).toBe(true);
          expect(verify(came, body ?? "")).toBe(false);
        },
      ),
    );
  });

  it.each([
    ["another body", {}, '{"lease_id":"y"}', 0],
    ["another method", { method: "DELETE" }, undefined, 0],
    ["another path", { url: "/credentials/other" }, undefined, 0],
    ["another key", { key: `${KEY}!` }, undefined, 0],
    ["another maker's address", { origin: "https://other.acme.example" }, undefined, 0],
    ["a time long gone", {}, undefined, 91_000],
    ["a time to come", {}, undefined, -31_000],
    ["a handle that was put in", { add: { "stint-handle": "h-2" } }, undefined, 0],
    ["no signature", { add: { signature: "" } }, undefined, 0],
    ["a digest that was left out of what is signed", { drop: ' "content-digest"' }, undefined, 0],
    ["a longer life", { lengthen: true }, undefined, 0],
  ] as const)("is not believed with %s", (_name, change, body, lateMs) => {
    const {
      key = KEY,
      origin = ORIGIN,
      add = {},
      drop,
      lengthen,
      ...request
    } = change as Record<string, never> & { key?: string; origin?: string };
    const headers = signRequest(ORDER, new Secret(KEY), "stint", NOW);
    const input = headers["signature-input"] ?? "";
    const changed = lengthen === undefined ? input.replace(drop ?? "\0", "") : input.replace(/expires=\d+/, "expires=9999999999");
    const came = { ...arrives(ORDER, { ...headers, "signature-input": changed, ...(add as Record<string, string>) }), ...request };
    expect(createVerifier({ key, origin, now: () => NOW + lateMs })(came, body ?? ORDER.body ?? "")).toBe(false);
  });

  it("is explained in the documentation with the recipe as it runs here", () => {
    const page = readFileSync(join(root, "docs/issuers/http.md"), "utf8");
    const code = readFileSync(recipe, "utf8").split("\n").slice(1).join("\n").trim();
    expect(page).toContain(code);
  });
});
