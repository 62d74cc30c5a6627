import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import type { Attestor } from "../../../broker/attestation/attestor.ts";
import { createAttestor } from "../../../broker/attestation/oidc.ts";
import { StintError } from "../../../domain/errors.ts";
import { fakeClock } from "../../support/clock.ts";
import { presetClaims } from "../../support/idp-claims.ts";
import { type TestIdp, signCompact, startIdp } from "../../support/idp.ts";
import { AUDIENCE, trust, trustMap } from "../../support/trust.ts";

const CODES = [
  "invalid_identity",
  "issuer_unknown",
  "audience_mismatch",
  "token_expired",
  "clock_skew",
  "identity_incomplete",
  "identity_keys_unavailable",
];
const clock = fakeClock();
const NOW = clock() / 1000;
let idp: TestIdp;
let attestor: Attestor;
beforeAll(async () => {
  idp = await startIdp({ clock, algorithm: "ES256" });
  const trusts = trustMap(
    trust({ issuer: idp.issuer, algorithms: ["ES256"] }),
    trust({ preset: "kubernetes", issuer: "https://k8s.test", keys: { from: "uri", uri: idp.jwksUri }, insecureHttp: true }),
    trust({ preset: "spiffe", issuer: "spiffe://td", keys: { from: "uri", uri: idp.jwksUri }, insecureHttp: true }),
  );
  attestor = createAttestor({ trusts: () => trusts, clock });
});
afterAll(async () => {
  await idp[Symbol.asyncDispose]();
});

/** A principal, or a refusal with one of the codes and a message fit for a header. */
async function settle(token: string): Promise<string> {
  try {
    return (await attestor.attest(token)).subject;
  } catch (error) {
    expect(error).toBeInstanceOf(StintError);
    const { code, message } = error as StintError;
    expect(CODES).toContain(code);
    expect(message).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]{1,400}$/); // RFC 6750's characters for error_description
    return code;
  }
}

describe("whatever is presented", () => {
  it("ends in a principal or in one of our refusals, even when it is signed by a true key", async () => {
    const claim = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.constantFrom<unknown>(NOW, NOW + 60, AUDIENCE, [AUDIENCE], "spiffe://td/a", "https://k8s.test", "system:serviceaccount:a:b"),
    );
    const names = fc.constantFrom(
      "iss",
      "aud",
      "sub",
      "exp",
      "iat",
      "nbf",
      "repository_id",
      "repository",
      "kubernetes.io",
      "email",
      "tid",
      "run_id",
      "x",
    );
    const good = presetClaims("github", { iss: idp.issuer, aud: AUDIENCE, iat: NOW, exp: NOW + 60 });
    const key = idp.keys[0];
    if (!key) throw new Error("no key");
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(names, claim, { maxKeys: 4 }),
        fc.dictionary(fc.constantFrom("alg", "kid", "typ", "crit", "x"), claim, { maxKeys: 2 }),
        async (claims, header) => {
          await settle(signCompact(JSON.stringify({ alg: "ES256", kid: key.kid, ...header }), JSON.stringify({ ...good, ...claims }), key));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it("is refused when any one letter of it was changed", async () => {
    const token = await idp.token(presetClaims("github", { aud: AUDIENCE }));
    expect(await settle(token)).toBe("github:456789");
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ";
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), fc.constantFrom(...letters), async (at, letter) => {
        fc.pre(token[at] !== letter);
        expect(CODES).toContain(await settle(token.slice(0, at) + letter + token.slice(at + 1)));
      }),
      { numRuns: 1000 },
    );
  });

  it("is refused when it was cut or carries more", async () => {
    const token = await idp.token(presetClaims("github", { aud: AUDIENCE }));
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), fc.string({ minLength: 1, maxLength: 8 }), async (at, more) => {
        expect(CODES).toContain(await settle(token.slice(0, at)));
        expect(CODES).toContain(await settle(token + more));
      }),
      { numRuns: 300 },
    );
  });

  it("is answered quickly, however hostile", async () => {
    const b64 = (text: string): string => Buffer.from(text).toString("base64url");
    const hostile = [
      "a".repeat(16_384),
      ".".repeat(16_384),
      `${b64(`{"alg":"ES256","kid":"${"a".repeat(3000)}!"}`)}.e30.c2ln`,
      `${b64('{"alg":"ES256"}')}.${b64(`{"sub":"spiffe://td/${"a/".repeat(5000)}"}`)}.c2ln`,
      `${b64('{"alg":"ES256"}')}.${b64(`{"iss":"${"https://".repeat(1400)}"}`)}.c2ln`,
      `${b64('{"alg":"ES256"}')}.${b64(`{"a":${"[".repeat(5000)}`)}.c2ln`,
      `${b64('{"alg":"ES256"}')}.${b64(`{"n":${"9".repeat(11_000)}}`)}.c2ln`,
    ];
    for (const token of hostile) {
      const started = performance.now();
      expect(CODES).toContain(await settle(token));
      expect(performance.now() - started).toBeLessThan(100);
    }
  });
});
