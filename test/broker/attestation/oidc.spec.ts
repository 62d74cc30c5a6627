import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { createAttestor } from "../../../broker/attestation/oidc.ts";
import type { Attestor } from "../../../broker/attestation/attestor.ts";
import { PRESETS } from "../../../broker/policy/policy.ts";
import type { Trust } from "../../../broker/policy/policy.ts";
import { fakeClock } from "../../support/clock.ts";
import { immutableGithubClaims, presetClaims } from "../../support/idp-claims.ts";
import { type TestIdp, idpKey, signCompact, startIdp } from "../../support/idp.ts";
import { AUDIENCE, trust, trustMap } from "../../support/trust.ts";

const clock = fakeClock();
const NOW = clock() / 1000;
let idp: TestIdp;
let attestor: Attestor;
const attestorFor = (...trusts: readonly Trust[]): Attestor => {
  const map = trustMap(...trusts);
  return createAttestor({ trusts: () => map, clock });
};
const refusal = (code: string, message: string | RegExp): object => ({ name: "StintError", code, message: expect.stringMatching(message) });

beforeAll(async () => {
  idp = await startIdp({ clock });
});
beforeEach(() => {
  clock.set(NOW * 1000);
  attestor = attestorFor(trust({ issuer: idp.issuer }));
});
afterAll(async () => {
  await idp[Symbol.asyncDispose]();
});

const token = (claims: Record<string, unknown> = {}, options: Parameters<TestIdp["token"]>[1] = {}): Promise<string> =>
  idp.token(presetClaims("github", { aud: AUDIENCE, ...claims }), options);

describe("a workload with a good token", () => {
  it("is known by its immutable id, its display name and its job", async () => {
    const jwt = await token({ run_id: "1", run_attempt: "2", check_run_id: "3" });
    const principal = await attestor.attest(jwt);
    expect(principal).toMatchObject({
      trust: "github",
      subject: "github:456789",
      workload: "github/octo-org/octo-repo",
      taskValue: "1.2.3",
    });
    expect(principal.claims).toMatchObject({ repository_id: "456789", ref: "refs/heads/main" });
    expect(principal.evidence).toEqual({
      hash: createHash("sha256")
        .update(JSON.stringify([idp.issuer, principal.claims["sub"], principal.claims["jti"]]))
        .digest("base64url"),
      expiresAt: (NOW + 300 + 30) * 1000,
      maxUses: 1,
    });
  });

  it("is the same subject in both shapes of GitHub's sub", async () => {
    const jwt = await idp.token(immutableGithubClaims({ aud: AUDIENCE }));
    expect(await attestor.attest(jwt)).toMatchObject({ subject: "github:456789" });
  });

  it("got it the way a job does: from the runner's address, with the runner's bearer", async () => {
    const ask = (bearer: string): Promise<Response> =>
      fetch(`${idp.runner.requestUrl}&audience=${encodeURIComponent(AUDIENCE)}`, { headers: { authorization: `bearer ${bearer}` } });
    const { value } = (await (await ask(idp.runner.requestToken)).json()) as { value: string };
    await expect(attestor.attest(value)).resolves.toMatchObject({ workload: "github/octo-org/octo-repo" });
    expect((await ask("wrong")).status).toBe(401);
  });

  it("has no task value when the job names none", async () => {
    expect((await attestor.attest(await token({ check_run_id: undefined }))).taskValue).toBeUndefined();
  });

  it.each(["JWT", "jwt", "application/jwt", "JOSE", undefined])("may say typ %s", async (typ) => {
    await expect(attestor.attest(await token({}, { header: { typ } }))).resolves.toMatchObject({ trust: "github" });
  });

  it("may name our audience in a list of one", async () => {
    await expect(attestor.attest(await token({ aud: [AUDIENCE] }))).resolves.toMatchObject({ trust: "github" });
  });

  it.each(PRESETS)("is accepted from %s", async (preset) => {
    const spiffe = preset === "spiffe";
    const made = trust({
      preset,
      issuer: spiffe ? "spiffe://prod.example.org" : idp.issuer,
      insecureHttp: true,
      ...(spiffe && { keys: { from: "uri", uri: idp.jwksUri } }),
    });
    const principal = await attestorFor(made).attest(await idp.token(presetClaims(preset, { aud: AUDIENCE })));
    expect(principal).toMatchObject({ trust: preset, evidence: { maxUses: made.maxUses } });
    expect(principal.subject.startsWith(`${preset}:`)).toBe(true);
  });

  it("is one use for two tokens with the same jti, and for one token with none", async () => {
    const hash = async (claims: Record<string, unknown>): Promise<string> => (await attestor.attest(await token(claims))).evidence.hash;
    expect(await hash({ jti: "seen-before", run_attempt: "2" })).toBe(await hash({ jti: "seen-before" }));
    expect(await hash({ jti: "another" })).not.toBe(await hash({ jti: "seen-before" }));
    const run = { jti: undefined, run_id: "1", check_run_id: "2" };
    expect(await hash(run)).toBe(await hash(run));
    expect(await hash(run)).not.toBe(await hash({ ...run, run_id: "3" }));
  });

  it("of a platform that hands it out again is counted by its content", async () => {
    const gitlab = attestorFor(trust({ preset: "gitlab", issuer: idp.issuer }));
    const jwt = await idp.token(presetClaims("gitlab", { aud: AUDIENCE }));
    const { evidence } = await gitlab.attest(jwt);
    expect(evidence).toMatchObject({
      hash: createHash("sha256")
        .update(jwt.slice(0, jwt.lastIndexOf(".")))
        .digest("base64url"),
      maxUses: 100,
    });
  });

  it("keeps its evidence's name when an ECDSA signature is rewritten into its twin", async () => {
    const key = await idpKey("ES256", "ec");
    const jwt = signCompact(
      '{"alg":"ES256","kid":"ec"}',
      JSON.stringify({ iss: idp.issuer, aud: AUDIENCE, sub: "s", iat: NOW, exp: NOW + 60 }),
      key,
    );
    await using other = await startIdp({ clock, algorithm: "ES256" });
    (other.keys as unknown[]).push(key);
    const es = attestorFor(trust({ preset: "generic", issuer: idp.issuer, keys: { from: "uri", uri: other.jwksUri } }));
    const [head, body, signature = ""] = jwt.split(".");
    const raw = Buffer.from(signature, "base64url");
    const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const twin = (n - BigInt(`0x${raw.subarray(32).toString("hex")}`)).toString(16).padStart(64, "0");
    const rewritten = `${head}.${body}.${Buffer.concat([raw.subarray(0, 32), Buffer.from(twin, "hex")]).toString("base64url")}`;
    expect(rewritten).not.toBe(jwt);
    expect((await es.attest(rewritten)).evidence.hash).toBe((await es.attest(jwt)).evidence.hash);
  });
});

describe("a token's time", () => {
  it("is told exactly when it has passed", async () => {
    const jwt = await token({}, { lifetimeSeconds: 60 });
    clock.advance({ seconds: 100 });
    await expect(attestor.attest(jwt)).rejects.toMatchObject(
      refusal("token_expired", "ID token expired 40 s before arrival; fetch it right before use"),
    );
  });

  it("is stretched by thirty seconds and no more", async () => {
    const jwt = await token({}, { lifetimeSeconds: 60 });
    clock.advance({ seconds: 89 });
    await expect(attestor.attest(jwt)).resolves.toMatchObject({ trust: "github" });
    clock.advance({ seconds: 1 });
    await expect(attestor.attest(jwt)).rejects.toMatchObject(refusal("token_expired", "expired 30 s"));
  });

  it("ends ten minutes after it was made whatever its exp, except where the platform means it to live longer", async () => {
    const jwt = await token({}, { lifetimeSeconds: 7200 });
    clock.advance({ seconds: 629 });
    await expect(attestor.attest(jwt)).resolves.toMatchObject({ evidence: { expiresAt: (NOW + 630) * 1000 } });
    clock.advance({ seconds: 1 });
    await expect(attestor.attest(jwt)).rejects.toMatchObject(refusal("token_expired", "made 10m30s before arrival, and 600 s is allowed"));
    const gitlab = attestorFor(trust({ preset: "gitlab", issuer: idp.issuer }));
    clock.set(NOW * 1000);
    const long = await idp.token(presetClaims("gitlab", { aud: AUDIENCE }), { lifetimeSeconds: 7200 });
    clock.advance({ hours: 1 });
    await expect(gitlab.attest(long)).resolves.toMatchObject({ trust: "gitlab" });
  });

  it.each([
    ["iat ahead of us", { iat: NOW + 31 }],
    ["nbf ahead of us", { nbf: NOW + 90 }],
  ])("is a matter of clocks: %s", async (_name, claims) => {
    await expect(attestor.attest(await token(claims))).rejects.toMatchObject(
      refusal("clock_skew", "ID token is valid only \\d+ s from now"),
    );
  });

  it("may be ahead of ours by the allowance", async () => {
    await expect(attestor.attest(await token({ iat: NOW + 30, nbf: NOW + 30 }))).resolves.toMatchObject({ trust: "github" });
  });

  it.each([
    ["no exp", { exp: undefined }, "has no exp"],
    ["no iat", { iat: undefined }, "has no iat"],
    ["exp as text", { exp: String(NOW + 60) }, "exp is not a whole number"],
    ["exp null", { exp: null }, "exp is not a whole number"],
    ["exp with a fraction", { exp: NOW + 60.5 }, "exp is not a whole number"],
    ["exp below zero", { exp: -1 }, "exp is not a whole number"],
    ["exp beyond the year 9999", { exp: 1e15 }, "exp is not a whole number"],
    ["nbf as a list", { nbf: [NOW] }, "nbf is not a whole number"],
    ["iat after exp", { iat: NOW + 20, exp: NOW + 10 }, "ends before it begins"],
  ])("must make sense: %s", async (_name, claims, message) => {
    await expect(attestor.attest(await token(claims))).rejects.toMatchObject(refusal("invalid_identity", message));
  });

  it.each(["1e400", "NaN", "Infinity", "-1e999"])("must be a number that exists: %s", async (exp) => {
    const [key] = idp.keys;
    if (!key) throw new Error("no key");
    const jwt = signCompact(
      `{"alg":"RS256","kid":"${key.kid}"}`,
      `{"iss":"${idp.issuer}","aud":"${AUDIENCE}","iat":${NOW},"exp":${exp}}`,
      key,
    );
    await expect(attestor.attest(jwt)).rejects.toMatchObject({ code: "invalid_identity" });
  });
});

describe("a token from elsewhere or for someone else", () => {
  it.each([
    ["an unknown issuer", { iss: "https://gitlab.evil.test" }, "issuer_unknown", "issuer `https://gitlab.evil.test` is not trusted here"],
    ["an issuer that would spoil a terminal", { iss: "https://x\u001b[31m" }, "issuer_unknown", "^issuer is not trusted here"],
    ["an issuer too long to repeat", { iss: `https://${"x".repeat(400)}` }, "issuer_unknown", "^issuer is not trusted here"],
    ["no iss", { iss: undefined }, "invalid_identity", "has no iss"],
    ["iss as a list", { iss: ["a"] }, "invalid_identity", "iss is not a text"],
    ["no aud", { aud: undefined }, "invalid_identity", "has no aud"],
    ["an empty aud", { aud: [] }, "audience_mismatch", "for no audience"],
    ["aud with a number", { aud: [AUDIENCE, 1] }, "invalid_identity", "aud is malformed"],
    [
      "another audience",
      { aud: "https://github.com/octo-org" },
      "audience_mismatch",
      "token is for `https://github.com/octo-org`; this broker needs one made for the audience in its metadata",
    ],
    ["an audience that begins like ours", { aud: `${AUDIENCE}.evil` }, "audience_mismatch", "token is for"],
    ["several audiences, ours among them", { aud: [AUDIENCE, "sts.amazonaws.com"] }, "audience_mismatch", "also for other audiences"],
  ])("is refused: %s", async (_name, claims, code, message) => {
    await expect(attestor.attest(await token(claims))).rejects.toMatchObject(refusal(code, message));
  });

  it("is compared byte for byte: a trailing slash makes another issuer, and the log says so", async () => {
    await expect(attestor.attest(await token({ iss: `${idp.issuer}/` }))).rejects.toMatchObject({
      ...refusal("issuer_unknown", "is not trusted here"),
      cause: expect.objectContaining({ message: expect.stringContaining("trailing slash") }),
    });
  });

  it("goes to the trust whose audience it names, and to no other", async () => {
    const both = attestorFor(
      trust({ issuer: idp.issuer }),
      trust({ issuer: idp.issuer, name: "second", audiences: ["https://second.test", "https://third.test"] }),
    );
    await expect(both.attest(await token({ aud: "https://second.test" }))).resolves.toMatchObject({ subject: "second:456789" });
    await expect(both.attest(await token({ aud: ["https://second.test", "https://third.test"] }))).resolves.toMatchObject({
      trust: "second",
    });
    await expect(both.attest(await token({ aud: ["https://second.test", AUDIENCE] }))).rejects.toMatchObject({ code: "audience_mismatch" });
  });

  it("is refused at once after a reload that drops its trust", async () => {
    let trusts = trustMap(trust({ issuer: idp.issuer }));
    const reloading = createAttestor({ trusts: () => trusts, clock });
    const jwt = await token();
    await reloading.attest(jwt);
    trusts = trustMap();
    await expect(reloading.attest(jwt)).rejects.toMatchObject({ code: "issuer_unknown" });
  });
});

describe("a signature", () => {
  it("by a key that the issuer never published is refused, under its own or a known kid", async () => {
    await expect(attestor.attest(await token({}, { forge: true }))).rejects.toMatchObject(
      refusal("invalid_identity", "signature does not verify"),
    );
    await expect(attestor.attest(await token({}, { header: { kid: "made-up" } }))).rejects.toMatchObject(
      refusal("invalid_identity", "signed with a key that its issuer does not publish"),
    );
  });

  it("by another trust's key is refused: keys are never pooled", async () => {
    await using other = await startIdp({ clock });
    const kid = idp.keys[0]?.kid ?? "";
    await other.rotate({ kid, drop: true });
    const both = attestorFor(trust({ issuer: idp.issuer }), trust({ issuer: other.issuer, name: "other" }));
    const claims = presetClaims("github", { aud: AUDIENCE });
    await expect(both.attest(await other.token(claims))).resolves.toMatchObject({ trust: "other" });
    await expect(both.attest(await other.token({ ...claims, iss: idp.issuer }))).rejects.toMatchObject(
      refusal("invalid_identity", "signature does not verify"),
    );
  });

  it("without kid is checked with the only key there is, and refused where there are two", async () => {
    await using one = await startIdp({ clock });
    const single = attestorFor(trust({ issuer: one.issuer }));
    const jwt = await one.token(presetClaims("github", { aud: AUDIENCE }), { header: { kid: undefined } });
    await expect(single.attest(jwt)).resolves.toMatchObject({ trust: "github" });
    await one.rotate();
    single.forgetKeys();
    await expect(single.attest(jwt)).rejects.toMatchObject(refusal("invalid_identity", "does not publish"));
  });

  it.each(["none", "HS256", "ES256", "PS256", "RS512", "rs256"])(
    "by algorithm %s is refused where the trust accepts RS256",
    async (alg) => {
      await expect(attestor.attest(await token({}, { header: { alg } }))).rejects.toMatchObject(
        refusal("invalid_identity", "algorithm is not accepted"),
      );
    },
  );

  it("by a key meant for another algorithm is refused", async () => {
    const wide = attestorFor(trust({ issuer: idp.issuer, algorithms: ["RS256", "PS256"] }));
    const key = idp.keys[0];
    if (!key) throw new Error("no key");
    const jwt = signCompact(
      `{"alg":"PS256","kid":"${key.kid}"}`,
      JSON.stringify({ iss: idp.issuer, aud: AUDIENCE, iat: NOW, exp: NOW + 60 }),
      { ...key, algorithm: "PS256" },
    );
    await expect(wide.attest(jwt)).rejects.toMatchObject(refusal("invalid_identity", "does not publish"));
  });

  it.each(["ES256", "ES384", "PS256", "Ed25519"])("by %s is accepted from a generic provider", async (algorithm) => {
    await using other = await startIdp({ clock, algorithm });
    const jwt = await other.token(presetClaims("generic", { aud: AUDIENCE }));
    await expect(attestorFor(trust({ preset: "generic", issuer: other.issuer })).attest(jwt)).resolves.toMatchObject({
      subject: "generic:service-1",
    });
  });
});

describe("an identity that is not whole", () => {
  it.each([
    ["id", { repository_id: undefined }],
    ["id", { repository_id: "" }],
    ["id", { repository_id: ["456789"] }],
    ["workload", { repository: undefined }],
  ])("is refused when its %s can't be made: %j", async (what, claims) => {
    await expect(attestor.attest(await token(claims))).rejects.toMatchObject(refusal("identity_incomplete", `trust's ${what} is made of`));
  });

  it.each([
    [
      "github",
      { sub: "repo:octo-org@123456/octo-repo@456789:ref:refs/heads/main", repository_id: "666" },
      "sub and repository_id disagree",
    ],
    ["github", { sub: "repo:octo-org@6/octo-repo@456789:ref:refs/heads/main" }, "sub and repository_owner_id disagree"],
    ["github", { sub: "repo:evil/evil:ref:refs/heads/main" }, "sub and repository disagree"],
    ["kubernetes", { sub: "system:serviceaccount:default:deployer" }, "sub and kubernetes.io disagree"],
    ["kubernetes", { "kubernetes.io": { namespace: "payments" } }, "sub and kubernetes.io disagree"],
    ["google", { email_verified: "true" }, "email is not verified"],
    ["google", { email_verified: undefined }, "email is not verified"],
  ] as const)("is refused from %s when it contradicts itself: %j", async (preset, claims, message) => {
    const jwt = await idp.token(presetClaims(preset, { aud: AUDIENCE, ...claims }));
    await expect(attestorFor(trust({ preset, issuer: idp.issuer })).attest(jwt)).rejects.toMatchObject(
      refusal("invalid_identity", message),
    );
  });

  it("is refused from another Azure tenant than the issuer's", async () => {
    await using azure = await startIdp({ clock, path: "/11111111-2222-4333-8444-555555555555/v2.0" });
    // the tenant is read from https issuers; what is signed is what counts
    const issuer = "https://login.microsoftonline.com/11111111-2222-4333-8444-555555555555/v2.0";
    const made = attestorFor(trust({ preset: "azure", issuer, insecureHttp: true, keys: { from: "uri", uri: azure.jwksUri } }));
    const good = presetClaims("azure", { iss: issuer, aud: AUDIENCE });
    await expect(made.attest(await azure.token(good))).resolves.toMatchObject({ workload: "azure/0b0b0b0b-0000-4000-8000-00000000000b" });
    await expect(made.attest(await azure.token({ ...good, tid: "99999999-2222-4333-8444-555555555555" }))).rejects.toMatchObject(
      refusal("invalid_identity", "iss and tid disagree"),
    );
  });

  it("may have a GitHub subject of its owner's own making", async () => {
    const jwt = await token({ sub: "job_workflow_ref:octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main" });
    await expect(attestor.attest(jwt)).resolves.toMatchObject({ subject: "github:456789" });
  });
});
