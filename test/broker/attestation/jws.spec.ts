import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { MAX_TOKEN_BYTES, parseToken } from "../../../broker/attestation/jws.ts";
import { StintError } from "../../../domain/errors.ts";

const b64 = (text: string | Buffer): string => Buffer.from(text).toString("base64url");
const compact = (header: string, payload: string, signature = "c2lnbmF0dXJl"): string => `${b64(header)}.${b64(payload)}.${signature}`;
const HEADER = '{"alg":"RS256","kid":"k1"}';
const refused = (message: string): object =>
  expect.objectContaining({ name: "StintError", code: "invalid_identity", message: expect.stringContaining(message) });

describe("a compact token", () => {
  it("is taken apart without believing it", () => {
    const token = compact(HEADER, '{"sub":"a"}');
    expect(parseToken(token)).toEqual({
      alg: "RS256",
      kid: "k1",
      headerNames: ["alg", "kid"],
      claims: { sub: "a" },
      signingInput: Buffer.from(token.slice(0, token.lastIndexOf("."))),
      signature: Buffer.from(token.slice(token.lastIndexOf(".") + 1), "base64url"),
    });
  });

  it.each([
    ["nothing", "", "is empty"],
    ["too long", "a".repeat(MAX_TOKEN_BYTES + 1), "longer than 16384 bytes"],
    ["one part", "abc", "not a compact JWT"],
    ["two parts", "abc.def", "not a compact JWT"],
    ["four parts", "a.b.c.d", "not a compact JWT"],
    ["an encrypted one", "a.b.c.d.e", "is encrypted"],
    ["JSON serialization", '{"payload":"e30","signatures":[]}', "not a compact JWT"],
    ["an empty signature", compact(HEADER, "{}", ""), "is not signed"],
    ["padding", `${b64(HEADER)}.${b64("{}")}.c2lnbg==`, "signature is not canonical base64url"],
    ["padding in the header", `${Buffer.from('{"alg":"RS256"}   ').toString("base64")}=.e30.c2ln`, "header is not canonical base64url"],
    ["a space inside", `${b64(HEADER)}.e3 0.c2ln`, "payload is not canonical base64url"],
    ["a line feed at the end", `${compact(HEADER, "{}")}\n`, "signature is not canonical base64url"],
    ["classic base64 letters", `${b64(HEADER)}.e30.a+/b`, "signature is not canonical base64url"],
    ["stray bits at the end", `${b64(HEADER)}.e31.c2ln`, "payload is not canonical base64url"],
    ["a member twice", compact(HEADER, '{"sub":"a","sub":"b"}'), "payload is refused: a member stands twice"],
    ["a member twice, once escaped", compact(HEADER, '{"sub":"a","su\\u0062":"b"}'), "payload is refused: a member stands twice"],
    ["a member twice in the header", compact('{"alg":"RS256","alg":"none"}', "{}"), "header is refused: a member stands twice"],
    ["a prototype name", compact(HEADER, '{"__proto__":{"sub":"a"}}'), "payload is refused: a member name"],
    ["17 levels", compact(HEADER, `{"a":${"[".repeat(16)}${"]".repeat(16)}}`), "payload is refused: nested deeper"],
    ["a number beyond a double", compact(HEADER, '{"n":1e400}'), "payload is refused: a number is out of range"],
    ["a long number beyond a double", compact(HEADER, `{"n":[${"9".repeat(400)}]}`), "payload is refused: a number is out of range"],
    ["a list as payload", compact(HEADER, "[]"), "payload is refused: not a JSON object"],
    ["text as payload", compact(HEADER, "hello"), "payload is refused: not valid JSON"],
    ["a byte order mark", compact(HEADER, "\ufeff{}"), "payload is refused: not valid JSON"],
    [
      "a payload that is not UTF-8",
      `${b64(HEADER)}.${b64(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))}.c2ln`,
      "payload is refused: not UTF-8",
    ],
    ["a header too long", compact(`{"alg":"RS256","x":"${"x".repeat(4096)}"}`, "{}"), "header is too long"],
    ["no algorithm", compact("{}", "{}"), "names no algorithm"],
    ["an algorithm that is a list", compact('{"alg":["RS256"]}', "{}"), "names no algorithm"],
  ])("is refused: %s", (_name, token, message) => {
    expect(() => parseToken(token)).toThrow(refused(message));
  });

  it.each(["crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc"])("is refused when its header has %s", (name) => {
    expect(() => parseToken(compact(JSON.stringify({ alg: "RS256", [name]: [name] }), "{}"))).toThrow(refused(`header has ${name}`));
  });

  it.each([
    "at+jwt",
    "task+jwt",
    "dpop+jwt",
    "secevent+jwt",
    "statuslist+jwt",
    "txntoken+jwt",
    "logout+jwt",
    "oauth-authz-req+jwt",
    "kb+jwt",
    "token-introspection+jwt",
    "client-authentication+jwt",
    "application/at+jwt",
    "JWT\u0000",
    "application/application/jwt",
    "JWE",
    "",
    7,
    null,
  ])("is refused when its typ is %j", (typ) => {
    expect(() => parseToken(compact(JSON.stringify({ alg: "RS256", typ }), "{}"))).toThrow(refused("not an identity token by its typ"));
  });

  it.each(["../../etc/passwd\n", "", "a".repeat(257), "k{1}", "kid with space", 7, null, ["k"]])("is refused when its kid is %j", (kid) => {
    expect(() => parseToken(compact(JSON.stringify({ alg: "RS256", kid }), "{}"))).toThrow(refused("kid is malformed"));
  });

  it("never makes anything but a refusal of what people send", () => {
    const part = fc.oneof(
      fc.base64String(),
      fc.string(),
      fc.json().map(b64),
      fc.uint8Array({ maxLength: 64 }).map((bytes) => b64(Buffer.from(bytes))),
    );
    const token = fc.oneof(
      fc.string(),
      fc.array(part, { maxLength: 6 }).map((parts) => parts.join(".")),
      fc.tuple(fc.json(), fc.json()).map(([head, body]) => compact(head, body)),
    );
    fc.assert(
      fc.property(token, (text) => {
        try {
          parseToken(text);
        } catch (error) {
          expect(error).toBeInstanceOf(StintError);
          expect(error).toHaveProperty("code", "invalid_identity");
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("never repeats what it was sent", () => {
    const marked = fc.constantFrom("alg", "typ", "kid", "sub").chain((name) => fc.record({ name: fc.constant(name), where: fc.boolean() }));
    fc.assert(
      fc.property(marked, fc.constantFrom("s3cr3t", "s3cr3t+jwt", ["s3cr3t"]), ({ name, where }, value) => {
        const bad = JSON.stringify({ alg: "RS256", [name]: value, [where ? "jku" : "crit"]: "s3cr3t" });
        expect(() => parseToken(compact(bad, '{"s3cr3t":1,"s3cr3t":2}'))).toThrow(
          expect.not.objectContaining({ message: expect.stringContaining("s3cr3t") }),
        );
      }),
    );
  });
});
