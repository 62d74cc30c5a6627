import { beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { decodeJwt, jwtVerify } from "jose";
import { validateJwtAccessToken } from "oauth4webapi";
import { jwtIssuer } from "../../../issuers/jwt/issuer.ts";
import { RESERVED_CLAIMS, jwtParams } from "../../../issuers/jwt/params.ts";
import { issuerContract, orderFor, type IssuerUnderTest } from "../../contract/issuer-contract.ts";
import { fakeClock } from "../../support/clock.ts";
import { ownKeys } from "../../support/own-keys.ts";
import type { JwtParams } from "../../../issuers/jwt/params.ts";

const ISSUER = "https://stint.acme.dev";
const AUDIENCE = "https://deploy.acme.dev";
let keys: Awaited<ReturnType<typeof ownKeys>>;
beforeAll(async () => {
  keys = await ownKeys();
});
const clock = fakeClock();
const under = (settings: unknown = { audience: AUDIENCE, scope: ["deploy:write"] }): IssuerUnderTest<JwtParams> => ({
  issuer: jwtIssuer({ issuer: ISSUER, keys }),
  settings,
  now: clock,
});
const mint = async (settings?: unknown, more: Parameters<typeof orderFor<JwtParams>>[1] = {}) => {
  const test = under(settings);
  const order = orderFor(test, more);
  const issued = await test.issuer.issue(order, AbortSignal.timeout(1000));
  return { order, token: issued.credential.token.reveal(), type: issued.credential.type };
};

issuerContract("jwt", async () => ({ ...under(), [Symbol.asyncDispose]: async () => undefined }));

describe("an access token", () => {
  it("says whose it is, for whom, until when, and under which lease and task (RFC 9068)", async () => {
    const { order, token, type } = await mint(undefined, { scope: ["deploy:write", "deploy:read"], purpose: "release 7" });
    const { payload, protectedHeader } = await jwtVerify(token, keys.es256.publicKey, {
      issuer: ISSUER,
      audience: AUDIENCE,
      typ: "at+jwt",
      currentDate: new Date(clock()),
    });
    const iat = Math.floor(clock() / 1000);
    expect(type).toBe("jwt");
    expect(protectedHeader).toEqual({ alg: "ES256", typ: "at+jwt", kid: keys.es256.kid });
    expect(payload).toEqual({
      iss: ISSUER,
      sub: "github:456789",
      aud: AUDIENCE,
      client_id: "github:456789",
      iat,
      nbf: iat - 5,
      exp: iat + 600,
      jti: order.leaseId,
      scope: "deploy:write deploy:read",
      lease_id: order.leaseId,
      task_id: order.taskId,
      grant: "deploy-prod",
      workload: "github/acme/shop",
      purpose: "release 7",
    });
  });

  it("is accepted by an independent resource server", async () => {
    const { token } = await mint(undefined, { issuedAt: Date.now(), expiresAt: Date.now() + 60_000 });
    const jwks = { keys: [{ ...keys.es256.publicKey.export({ format: "jwk" }), kid: keys.es256.kid, alg: "ES256", use: "sig" }] };
    const server = { issuer: ISSUER, jwks_uri: `${ISSUER}/.well-known/jwks.json` };
    const customFetch = async (): Promise<Response> => Response.json(jwks);
    const request = new Request(AUDIENCE, { headers: { authorization: `Bearer ${token}` } });
    const { customFetch: fetchSymbol } = await import("oauth4webapi");
    const claims = await validateJwtAccessToken(server, request, AUDIENCE, { [fetchSymbol]: customFetch });
    expect(claims).toMatchObject({ sub: "github:456789", scope: "" });
  });

  it("is signed with RS256 where the grant says so", async () => {
    const { token } = await mint({ audience: AUDIENCE, alg: "RS256" });
    await jwtVerify(token, keys.rs256.publicKey, { algorithms: ["RS256"], currentDate: new Date(clock()) });
    expect(under().issuer.keyId?.(jwtParams(ISSUER).parse({ audience: AUDIENCE, alg: "RS256" }))).toBe(keys.rs256.kid);
  });

  it("never outlives its lease by rounding", async () => {
    const { token, order } = await mint(undefined, { issuedAt: 1_000_999, expiresAt: 1_600_999 });
    expect(decodeJwt(token)).toMatchObject({ iat: 1000, exp: 1600 });
    expect(decodeJwt(token).exp ?? 0).toBeLessThanOrEqual(order.expiresAt / 1000);
  });

  it("carries the grant's own claims", async () => {
    const { token } = await mint({ audience: AUDIENCE, claims: { team: "payments", "https://aws.amazon.com/tags": { a: [1, null] } } });
    expect(decodeJwt(token)).toMatchObject({ team: "payments", "https://aws.amazon.com/tags": { a: [1, null] } });
  });
});

describe("what a grant may say of a token", () => {
  const problems = (settings: unknown): string => {
    const result = jwtParams(ISSUER).safeParse(settings);
    return result.success ? "" : result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
  };

  it("is never one of the claims that we set", () => {
    for (const name of RESERVED_CLAIMS) {
      if (name === "__proto__") continue;
      expect(problems({ audience: AUDIENCE, claims: { [name]: "x" } })).toContain(
        `claims.${name}: \`${name}\` is set by Stint and cannot be set by a grant`,
      );
    }
    const polluted = jwtParams(ISSUER).safeParse(JSON.parse(`{"audience":"${AUDIENCE}","claims":{"__proto__":{"sub":"x"}}}`));
    expect(polluted.success && Object.keys(polluted.data.claims)).not.toContain("__proto__");
  });

  it("cannot change what we say, whatever its claims are called", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.oneof(fc.string({ minLength: 1, maxLength: 10 }), fc.constantFrom("sub2", "Sub", "ISS", "aud ")),
          fc.jsonValue({ maxDepth: 1 }),
          { maxKeys: 5 },
        ),
        async (claims) => {
          if (!jwtParams(ISSUER).safeParse({ audience: AUDIENCE, claims }).success) return;
          const { token, order } = await mint({ audience: AUDIENCE, claims });
          expect(decodeJwt(token)).toMatchObject({ iss: ISSUER, sub: order.subject, aud: AUDIENCE, jti: order.leaseId, scope: "" });
        },
      ),
      { numRuns: 50 },
    );
  });

  it.each([
    ["no audience", {}, "audience: "],
    ["a list of audiences", { audience: [AUDIENCE, "b"] }, "audience: "],
    ["an empty audience", { audience: "" }, "audience: must be an absolute URI"],
    ["an audience with a space", { audience: "https://a b" }, "audience: must be an absolute URI"],
    ["an audience with a fragment", { audience: `${AUDIENCE}#x` }, "audience: must be an absolute URI"],
    ["ourselves as audience", { audience: ISSUER }, "audience: must not be this broker's own URL"],
    ["ourselves with a slash", { audience: `${ISSUER}/` }, "audience: must not be this broker's own URL"],
    ["a scope with a space", { audience: AUDIENCE, scope: ["a b"] }, "scope.0: must be one scope token"],
    ["a scope that names a grant", { audience: AUDIENCE, scope: ["grant:x"] }, "scope.0: must not begin with `grant:`"],
    ["an algorithm we do not have", { audience: AUDIENCE, alg: "HS256" }, "alg: "],
    ["claims that fill a token", { audience: AUDIENCE, claims: { a: "x".repeat(5000) } }, "claims: extra claims may take 4096 bytes"],
    ["a word we do not know", { audience: AUDIENCE, audiance: "x" }, "audiance"],
  ])("is refused when it is %s", (_, settings, message) => {
    expect(problems(settings)).toContain(message);
  });

  it.each([
    "https://deploy.acme.dev",
    "api://AzureADTokenExchange",
    "urn:acme:deploy",
    "sts.amazonaws.com",
    "//iam.googleapis.com/projects/1",
  ])("may name the audience %s", (audience) => {
    expect(problems({ audience })).toBe("");
  });
});
