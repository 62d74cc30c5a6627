import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { parseSpiffeId } from "../../domain/spiffe-id.ts";

describe("a SPIFFE ID", () => {
  it.each([
    ["spiffe://prod.example.org/payments/deployer", "prod.example.org", "/payments/deployer"],
    ["spiffe://td", "td", ""],
    ["spiffe://1.2.3.4/ns/a_b/sa/C-d.e", "1.2.3.4", "/ns/a_b/sa/C-d.e"],
    ["spiffe://td/...", "td", "/..."],
    [`spiffe://${"a".repeat(255)}/x`, "a".repeat(255), "/x"],
  ])("is read: %s", (text, trustDomain, path) => {
    expect(parseSpiffeId(text)).toEqual({ trustDomain, path });
  });

  it.each([
    "",
    "spiffe:",
    "spiffe://",
    "spiffe:///path",
    "SPIFFE://td/a",
    "Spiffe://td/a",
    "https://td/a",
    "spiffe:/td/a",
    " spiffe://td/a",
    "spiffe://td/a ",
    "spiffe://td/a\n",
    "spiffe://PROD.example.org/a",
    "spiffe://td:8443/a",
    "spiffe://user@td/a",
    "spiffe://td%2e/a",
    "spiffe://td/a%2Fb",
    "spiffe://td/",
    "spiffe://td/a/",
    "spiffe://td//a",
    "spiffe://td/./a",
    "spiffe://td/../a",
    "spiffe://td/a/..",
    "spiffe://td/a?x=1",
    "spiffe://td/a#x",
    "spiffe://td?x",
    "spiffe://td/a b",
    "spiffe://t\u00e9/a",
    "spiffe://td/\u00e9",
    `spiffe://${"a".repeat(256)}/x`,
    `spiffe://td/${"a".repeat(2040)}`,
    "spiffe://td/a\\b",
    "spiffe://[::1]/a",
    "spiffe://td/a:b",
  ])("is refused: %j", (text) => {
    expect(parseSpiffeId(text)).toBeUndefined();
  });

  it("written from its parts reads as its parts", () => {
    const from = (letters: string, max: number): fc.Arbitrary<string> =>
      fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: max });
    const segment = from("abzABZ019._-", 12).filter((text) => text !== "." && text !== "..");
    fc.assert(
      fc.property(from("abz019._-", 40), fc.array(segment, { maxLength: 6 }), (trustDomain, segments) => {
        const path = segments.map((one) => `/${one}`).join("");
        expect(parseSpiffeId(`spiffe://${trustDomain}${path}`)).toEqual({ trustDomain, path });
      }),
    );
  });
});
