import { beforeAll, describe, expect, it } from "@jest/globals";
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { newId } from "../../../domain/ids.ts";
import { type Verifier, VerifyError, type VerifyReason, createVerifier } from "../../../client/verify/index.ts";
import { signedToken } from "../../support/feed-server.ts";
import { movingClock } from "./moving-clock.ts";

const ISSUER = "https://stint.test";
const AUDIENCE = "https://api.test";
const clock = movingClock();
const now = clock.now() / 1000;
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const foreign = generateKeyPairSync("ec", { namedCurve: "P-256" });
const HEADER = { alg: "ES256", typ: "at+jwt", kid: "k1" };
const CLAIMS = {
  iss: ISSUER,
  sub: "github:1",
  aud: AUDIENCE,
  exp: now + 600,
  iat: now,
  nbf: now - 5,
  jti: "j1",
  client_id: "github:1",
  scope: "deploy:write",
  lease_id: newId("lease", clock.now()),
  task_id: newId("task", clock.now()),
  grant: "deploy",
};
const calls: string[] = [];
let verifier: Verifier;

beforeAll(() => {
  const jwk = (key: KeyObject, kid: string, alg: string) => ({ ...key.export({ format: "jwk" }), kid, alg, use: "sig" });
  const keys = [jwk(publicKey, "k1", "ES256"), jwk(rsa.publicKey, "r1", "RS256")];
  verifier = createVerifier({
    issuer: ISSUER,
    audience: AUDIENCE,
    revocation: "none",
    clock,
    log: () => undefined,
    fetch: async (url) => {
      calls.push(url);
      return Promise.resolve(
        Response.json(url.endsWith("jwks.json") ? { keys } : { issuer: ISSUER, jwks_uri: `${ISSUER}/.well-known/jwks.json` }),
      );
    },
  });
});

const token = (claims: object | string = {}, header: object | string = {}, key: KeyObject = privateKey): string =>
  signedToken(
    typeof header === "string" ? header : { ...HEADER, ...header },
    typeof claims === "string" ? claims : JSON.stringify({ ...CLAIMS, ...claims }),
    key,
  );
const text = (value: object): string => JSON.stringify(value);
const part = (value: string): string => Buffer.from(value).toString("base64url");
function hmac(header: object, secret: string | Buffer): string {
  const input = `${part(text({ ...HEADER, ...header }))}.${part(text(CLAIMS))}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}
const unsigned = (header: object, signature = ""): string => `${part(text({ ...HEADER, ...header }))}.${part(text(CLAIMS))}.${signature}`;
const [head = "", body = "", signature = ""] = token().split(".");
const without = (name: string): object => ({ [name]: undefined });
const deep = (levels: number): string => `${"[".repeat(levels)}${"]".repeat(levels)}`;

type Case = readonly [name: string, token: () => string, reason: VerifyReason];

const SIGNATURES: readonly Case[] = [
  ["alg none, unsigned", () => unsigned({ alg: "none" }), "malformed"],
  ["alg none with a signature", () => unsigned({ alg: "none" }, "AA"), "algorithm_refused"],
  ["alg nOnE", () => unsigned({ alg: "nOnE" }, signature), "algorithm_refused"],
  [
    "HS256 with the public key as PEM for the secret",
    () => hmac({ alg: "HS256" }, publicKey.export({ type: "spki", format: "pem" })),
    "algorithm_refused",
  ],
  [
    "HS256 with the public JWK for the secret",
    () => hmac({ alg: "HS256" }, text(publicKey.export({ format: "jwk" }))),
    "algorithm_refused",
  ],
  ["HS256 with an empty secret", () => hmac({ alg: "HS256" }, ""), "algorithm_refused"],
  ["an algorithm of another key's type", () => token({}, { alg: "RS256" }), "algorithm_refused"],
  ["an algorithm that the key is not for", () => token({}, { alg: "ES256", kid: "r1" }), "algorithm_refused"],
  ["an algorithm that is not accepted", () => token({}, { alg: "PS256", kid: "r1" }), "algorithm_refused"],
  ["alg as a list", () => token({}, { alg: ["ES256"] }), "algorithm_refused"],
  ["no alg", () => token({}, without("alg")), "algorithm_refused"],
  ["the signature of another key", () => token({}, {}, foreign.privateKey), "bad_signature"],
  ["a signature of zeros", () => `${head}.${body}.${Buffer.alloc(64).toString("base64url")}`, "bad_signature"],
  ["a signature in DER", () => `${head}.${body}.${Buffer.alloc(70, 48).toString("base64url")}`, "bad_signature"],
  ["no signature", () => `${head}.${body}.`, "malformed"],
  ["claims exchanged under a good signature", () => `${head}.${part(text({ ...CLAIMS, scope: "admin" }))}.${signature}`, "bad_signature"],
  ["its header exchanged under a good signature", () => `${part(text({ ...HEADER, extra: 1 }))}.${body}.${signature}`, "bad_signature"],
  [
    "its own key in the header",
    () => token({}, { jwk: foreign.publicKey.export({ format: "jwk" }) }, foreign.privateKey),
    "header_refused",
  ],
  ["jku", () => token({}, { jku: "https://evil.test/jwks.json" }, foreign.privateKey), "header_refused"],
  ["x5u", () => token({}, { x5u: "https://evil.test/cert.pem" }), "header_refused"],
  ["x5c", () => token({}, { x5c: ["AA=="] }), "header_refused"],
  ["crit", () => token({}, { crit: ["exp"], exp: 1 }), "header_refused"],
  ["crit, empty", () => token({}, { crit: [] }), "header_refused"],
  ["b64: false", () => token({}, { crit: ["b64"], b64: false }), "header_refused"],
  ["zip", () => token({}, { zip: "DEF" }), "header_refused"],
  ["an unknown kid", () => token({}, { kid: "k2" }), "unknown_key"],
  ["no kid", () => token({}, without("kid")), "unknown_key"],
  ["an empty kid", () => token({}, { kid: "" }), "unknown_key"],
  ["a kid that is a path", () => token({}, { kid: "../../../dev/null" }), "unknown_key"],
  ["a kid that is SQL", () => token({}, { kid: "k1' OR '1'='1" }), "unknown_key"],
  ["a kid with a line end", () => token({}, { kid: "k1\r\nx: y" }), "unknown_key"],
  ["a kid that is a number", () => token({}, { kid: 1 }), "unknown_key"],
  ["a kid that is a list", () => token({}, { kid: ["k1"] }), "unknown_key"],
  ["a kid that is __proto__", () => token({}, { kid: "__proto__" }), "unknown_key"],
  ["a kid without end", () => token({}, { kid: "k".repeat(300) }), "unknown_key"],
];

const SHAPES: readonly Case[] = [
  ["nothing", () => "", "malformed"],
  ["a word", () => "token", "malformed"],
  ["two parts", () => `${head}.${body}`, "malformed"],
  ["four parts", () => `${head}.${body}.${signature}.`, "malformed"],
  ["a JWE", () => `${head}.AA.AA.AA.AA`, "malformed"],
  ["the JSON serialisation", () => text({ protected: head, payload: body, signature }), "malformed"],
  ["padding", () => `${head}==.${body}.${signature}`, "malformed"],
  ["spaces", () => ` ${head}.${body}.${signature}`, "malformed"],
  ["a line end", () => `${head}.${body}.${signature}\n`, "malformed"],
  ["base64 instead of base64url", () => `${head}.${body}.${"+/".repeat(43)}`, "malformed"],
  [
    "stray bits at the end",
    () => `${head}.${body}.${signature.slice(0, -1)}${signature.endsWith("A") ? "B" : String.fromCharCode(signature.charCodeAt(85) + 1)}`,
    "malformed",
  ],
  ["a token without end", () => token({ filler: "x".repeat(20_000) }), "too_large"],
  ["a header without end", () => token({}, { filler: "x".repeat(1_000) }), "too_large"],
  ["a header that is a list", () => token({}, "[]"), "malformed"],
  ["a header that is not JSON", () => token({}, "{'alg':'ES256'}"), "malformed"],
  ["alg twice", () => token({}, '{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"k1"}'), "malformed"],
  ["alg twice, once in disguise", () => token({}, '{"\\u0061lg":"none","alg":"ES256","typ":"at+jwt","kid":"k1"}'), "malformed"],
  ["exp twice", () => token(`${text(CLAIMS).slice(0, -1)},"exp":9999999999}`), "malformed"],
  ["scope twice, one inside a string before", () => token(`{"x":"\\"scope\\"",${text(CLAIMS).slice(1, -1)},"scope":"admin"}`), "malformed"],
  ["a member twice further in", () => token(`${text(CLAIMS).slice(0, -1)},"act":{"sub":"a","sub":"b"}}`), "malformed"],
  ["__proto__ among the claims", () => token(`${text(CLAIMS).slice(0, -1)},"__proto__":{"scope":"admin"}}`), "malformed"],
  ["claims that are a list", () => token("[]"), "malformed"],
  ["claims that are null", () => token("null"), "malformed"],
  ["claims after a byte order mark", () => token(`\uFEFF${text(CLAIMS)}`), "malformed"],
  ["nesting without end", () => token(`${text(CLAIMS).slice(0, -1)},"x":${deep(100)}}`), "malformed"],
];

const TYPES: readonly Case[] = [
  "JWT",
  "jwt",
  "task+jwt",
  "dpop+jwt",
  "secevent+jwt",
  "statuslist+jwt",
  "client-authentication+jwt",
  "token-introspection+jwt",
  "txntoken+jwt",
  "application/jwt",
  "at+jwt+x",
  "at jwt",
  "",
  "text/at+jwt",
  7,
].map((typ): Case => [`typ ${typ}`, () => token({}, { typ }), "wrong_type"]);

const CLAIM_CASES: readonly Case[] = [
  ["no typ", () => token({}, without("typ")), "wrong_type"],
  ...["iss"].map((name): Case => [`no ${name}`, () => token(without(name)), "wrong_issuer"]),
  ...[`${ISSUER}/`, ISSUER.toUpperCase(), "https://stint.test.evil.test", "https://evil.test", [ISSUER], null].map((iss): Case => [
    `iss ${String(iss)}`,
    () => token({ iss }),
    "wrong_issuer",
  ]),
  ...["https://api.tes", `${AUDIENCE}/`, `${AUDIENCE}.evil.test`, "HTTPS://API.TEST", "", [], [`x${AUDIENCE}`], ["https://other.test"]].map(
    (aud): Case => [`aud ${text({ aud })}`, () => token({ aud }), "wrong_audience"],
  ),
  ...[undefined, null, 7, { [AUDIENCE]: true }, [[AUDIENCE]], [AUDIENCE, 7]].map((aud): Case => [
    `aud ${text({ aud })}`,
    () => token({ aud }),
    "claim_refused",
  ]),
  ...["sub", "exp", "iat", "jti", "client_id", "grant", "lease_id"].map((name): Case => [
    `no ${name}`,
    () => token(without(name)),
    "claim_refused",
  ]),
  ...["sub", "jti", "client_id", "grant", "lease_id"].map((name): Case => [
    `${name} as a list`,
    () => token({ [name]: ["x"] }),
    "claim_refused",
  ]),
  ["scope as a list", () => token({ scope: ["admin"] }), "claim_refused"],
  ["exp as a text", () => token({ exp: String(CLAIMS.exp) }), "claim_refused"],
  ["exp beyond numbers", () => token(text(CLAIMS).replace(`"exp":${CLAIMS.exp}`, '"exp":1e999')), "claim_refused"],
  ["exp below zero", () => token({ exp: -1 }), "claim_refused"],
  ["exp before iat", () => token({ exp: now - 20, iat: now - 10 }), "claim_refused"],
  ["exp a year ahead", () => token({ exp: now + 31_536_000 }), "claim_refused"],
  ["nbf as a text", () => token({ nbf: "0" }), "claim_refused"],
  ["a lease of another kind", () => token({ lease_id: CLAIMS.task_id }), "claim_refused"],
  ["expired", () => token({ exp: now - 31, iat: now - 600 }), "expired"],
  ["expired, to the second of the allowance", () => token({ exp: now - 30, iat: now - 600 }), "expired"],
  ["iat ahead", () => token({ iat: now + 31, exp: now + 600 }), "not_yet_valid"],
  ["nbf ahead", () => token({ nbf: now + 31 }), "not_yet_valid"],
  ["bound to a key, without a proof", () => token({ cnf: { jkt: "x" } }), "proof_needed"],
  ["bound in an unknown way", () => token({ cnf: { kid: "x" } }), "proof_needed"],
  ["bound in two ways", () => token({ cnf: { jkt: "x", "x5t#S256": "y" } }), "proof_needed"],
  ["bound to nothing", () => token({ cnf: {} }), "proof_needed"],
  ["cnf null", () => token({ cnf: null }), "proof_needed"],
  ["cnf with a key that is no text", () => token({ cnf: { jkt: null } }), "proof_needed"],
];

const GOOD: readonly (readonly [string, () => string])[] = [
  ["as issued", () => token()],
  ["by the RSA key", () => rsaToken()],
  ["typ AT+JWT", () => token({}, { typ: "AT+JWT" })],
  ["typ application/at+jwt", () => token({}, { typ: "application/at+jwt" })],
  ["one of several audiences", () => token({ aud: ["https://other.test", AUDIENCE] })],
  ["without nbf and scope", () => token({ nbf: undefined, scope: undefined })],
  ["within the allowance", () => token({ exp: now - 29, iat: now - 600 })],
  ["from a clock slightly ahead", () => token({ iat: now + 30, nbf: now + 30 })],
  ["with text that looks like members", () => token({ purpose: '"scope":"a\\","scope":"b"' })],
];

function rsaToken(): string {
  const input = `${part(text({ ...HEADER, alg: "RS256", kid: "r1" }))}.${part(text(CLAIMS))}`;
  return `${input}.${sign("sha256", Buffer.from(input), rsa.privateKey).toString("base64url")}`;
}

async function reasonOf(sent: string): Promise<string> {
  return verifier.verify(sent).then(
    () => "honoured",
    (error: unknown) => (error instanceof VerifyError ? error.reason : String(error)),
  );
}

describe.each([
  ["signatures", SIGNATURES],
  ["shapes", SHAPES],
  ["types", TYPES],
  ["claims", CLAIM_CASES],
] as const)("attacks by %s", (_kind, cases) => {
  it.each(cases)("refuse %s", async (_name, make, reason) => {
    const sent = make();
    expect(await reasonOf(sent)).toBe(reason);
    // twice: nothing refused is remembered as good
    expect(await reasonOf(sent)).toBe(reason);
  });
});

describe("good tokens", () => {
  it.each(GOOD)("are honoured: %s", async (_name, make) => {
    const sent = make();
    expect(await reasonOf(sent)).toBe("honoured");
    expect(await reasonOf(sent)).toBe("honoured");
  });

  it("are shared between requests and cannot be changed by one of them", async () => {
    const sent = token({ act: { sub: "x" } });
    const { payload, scopes } = await verifier.verify(sent);
    expect(() => Object.assign(payload, { sub: "admin" })).toThrow(TypeError);
    expect(() => Object.assign(payload["act"] as object, { sub: "admin" })).toThrow(TypeError);
    expect(() => (scopes as string[]).push("admin")).toThrow(TypeError);
  });

  it("expire in memory as well", async () => {
    const sent = token({ exp: now + 10 });
    expect(await reasonOf(sent)).toBe("honoured");
    clock.jump(41_000);
    expect(await reasonOf(sent)).toBe("expired");
    clock.jump(-41_000);
  });
});

describe("all of that", () => {
  it("cost the issuer a few requests, all of them to itself", () => {
    expect(new Set(calls)).toEqual(new Set([`${ISSUER}/.well-known/openid-configuration`, `${ISSUER}/.well-known/jwks.json`]));
    expect(calls.length).toBeLessThan(10);
  });
});
