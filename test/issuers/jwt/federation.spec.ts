import { beforeAll, describe, expect, it } from "@jest/globals";
import { decodeProtectedHeader, exportJWK, type JSONWebKeySet } from "jose";
import { validateJwtAccessToken } from "oauth4webapi";
import { parse } from "yaml";
import { blocksIn, page, table, words } from "../../docs/pages.ts";
import { jwtIssuer } from "../../../issuers/jwt/issuer.ts";
import { jwtParams, type JwtParams } from "../../../issuers/jwt/params.ts";
import { issuerContract, orderFor, type IssuerUnderTest } from "../../contract/issuer-contract.ts";
import { fakeClock } from "../../support/clock.ts";
import { ownKeys } from "../../support/own-keys.ts";
import { federate, RELYING_PARTIES } from "./relying-parties.ts";

const ISSUER = "https://stint.acme.dev";
const clock = fakeClock();
let keys: Awaited<ReturnType<typeof ownKeys>>;
let published: JSONWebKeySet;
beforeAll(async () => {
  keys = await ownKeys();
  const jwkOf = async ({ publicKey, kid, alg }: (typeof keys)["rs256"]) => ({ ...(await exportJWK(publicKey)), kid, alg, use: "sig" });
  published = { keys: [await jwkOf(keys.es256), await jwkOf(keys.rs256)] };
});

const under = (settings: object): IssuerUnderTest<JwtParams> => ({
  issuer: jwtIssuer({ issuer: ISSUER, keys }),
  settings: { profile: "federation", ...settings },
  now: clock,
});
const mint = async (settings: object, more: Parameters<typeof orderFor<JwtParams>>[1] = {}) => {
  const test = under(settings);
  const order = orderFor(test, more);
  return { order, issued: await test.issuer.issue(order, AbortSignal.timeout(1000)) };
};
const seen = (subject = "github:456789") => ({ issuer: ISSUER, keys: published, subject, now: clock() });

issuerContract("jwt, for relying parties", async () => ({
  ...under({ audience: "sts.amazonaws.com" }),
  [Symbol.asyncDispose]: async () => undefined,
}));

describe.each(RELYING_PARTIES)("a federation token for $name", (party) => {
  it("is taken, by the keys that we publish", async () => {
    const { order, issued } = await mint({ audience: party.audience });
    const payload = await federate(party, issued.credential.token.reveal(), seen());
    expect(payload).toMatchObject({ iss: ISSUER, sub: "github:456789", aud: party.audience, jti: order.leaseId, lease_id: order.leaseId });
    for (const strange of ["azp", "client_id", "scope", "nonce", "purpose", "cnf"]) expect(payload).not.toHaveProperty(strange);
    expect(issued.credential).toMatchObject({ type: "jwt", tokenType: "jwt", facts: { profile: "federation" } });
  });

  it("is refused where something is not its own: the validator can tell", async () => {
    const token = (await mint({ audience: party.audience })).issued.credential.token.reveal();
    const other = (await mint({ audience: "https://else.acme.dev" })).issued.credential.token.reveal();
    await expect(federate(party, other, seen())).rejects.toMatchObject({ claim: "aud" });
    await expect(federate(party, token, seen("github:1"))).rejects.toMatchObject({ claim: "sub" });
    await expect(federate(party, token, { ...seen(), now: clock() + 3_600_000 })).rejects.toMatchObject({ code: "ERR_JWT_EXPIRED" });
    const access = await mint({ audience: party.audience, profile: "access-token", alg: "RS256" });
    await expect(federate(party, access.issued.credential.token.reveal(), seen())).rejects.toThrow("typ at+jwt is no identity token");
  });

  it("is for the same subject in every run, purpose and task", async () => {
    const first = await mint({ audience: party.audience }, { purpose: "one" });
    const second = await mint({ audience: party.audience }, { purpose: "two" });
    const [one, two] = await Promise.all([first, second].map(({ issued }) => federate(party, issued.credential.token.reveal(), seen())));
    expect([one?.sub, one?.aud, one?.iss]).toEqual([two?.sub, two?.aud, two?.iss]);
    expect(first.order.leaseId).not.toBe(second.order.leaseId);
  });
});

describe("a federation token", () => {
  it("is signed with RS256 unless ES256 is asked for, which Entra would not take", async () => {
    const algorithmOf = async (settings: object) => decodeProtectedHeader((await mint(settings)).issued.credential.token.reveal());
    expect(await algorithmOf({ audience: "sts.amazonaws.com" })).toEqual({ alg: "RS256", typ: "JWT", kid: keys.rs256.kid });
    expect(await algorithmOf({ audience: "sts.amazonaws.com", alg: "ES256" })).toEqual({ alg: "ES256", typ: "JWT", kid: keys.es256.kid });
    expect(jwtParams(ISSUER).parse({ audience: "https://x.test" })).toMatchObject({ alg: "ES256", profile: "access-token" });
  });

  it("is no access token to an independent resource server", async () => {
    const { issued } = await mint({ audience: "https://deploy.acme.dev" });
    const request = new Request("https://deploy.acme.dev/", { headers: { authorization: `Bearer ${issued.credential.token.reveal()}` } });
    await expect(
      validateJwtAccessToken({ issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` }, request, "https://deploy.acme.dev"),
    ).rejects.toThrow();
  });

  it("is bound to no key: no relying party could see the proof", async () => {
    const { issued } = await mint({ audience: "sts.amazonaws.com" }, { key: { method: "jkt", thumbprint: "a".repeat(43) } });
    expect(issued.boundTo).toBeUndefined();
  });

  it("carries session tags and a source identity as AWS reads them", async () => {
    const claims = {
      "https://aws.amazon.com/tags": { principal_tags: { Project: ["shop"], Team: ["payments"] }, transitive_tag_keys: ["Project"] },
      "https://aws.amazon.com/source_identity": "github-456789",
    };
    const [aws] = RELYING_PARTIES;
    if (aws === undefined) throw new Error("no party");
    const { issued } = await mint({ audience: aws.audience, claims });
    expect(await federate(aws, issued.credential.token.reveal(), seen())).toMatchObject(claims);
  });
});

describe("settings of a federation grant", () => {
  const faultOf = (settings: object): string | undefined => {
    const { error } = jwtParams(ISSUER).safeParse({ audience: "sts.amazonaws.com", profile: "federation", ...settings });
    return error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");
  };
  it.each([
    ["a scope", { scope: ["read"] }, /^scope: a federation token carries no scope/],
    ["ES256 for Entra", { audience: "api://AzureADTokenExchange", alg: "ES256" }, /^alg: Microsoft Entra takes RS256 only/],
    ["azp", { claims: { azp: "x" } }, /azp/],
    [
      "tags that are no lists",
      { claims: { "https://aws.amazon.com/tags": { principal_tags: { Project: "shop" } } } },
      /principal_tags\.Project/,
    ],
    [
      "two values of a tag",
      { claims: { "https://aws.amazon.com/tags": { principal_tags: { Project: ["a", "b"] } } } },
      /principal_tags\.Project/,
    ],
    ["a tag's name with a star", { claims: { "https://aws.amazon.com/tags": { principal_tags: { "a*": ["b"] } } } }, /principal_tags\.a\*/],
    ["a source identity with spaces", { claims: { "https://aws.amazon.com/source_identity": "a b" } }, /source_identity: must be 2 to 64/],
    ["another profile", { profile: "registry" }, /^profile: /],
  ])("refuse %s", (_, settings, message) => expect(faultOf(settings)).toMatch(message));

  it("are those of our own page, audience by audience", () => {
    const listed = table(page("docs/issuers/jwt.md"), "| Party | `audience` |").map(([name, audience = ""]) => [name, words(audience)[0]]);
    expect(listed).toEqual(RELYING_PARTIES.map(({ name, audience }) => [name, audience]));
    const cluster = parse(blocksIn("yaml").find(({ info }) => info === "yaml authentication")?.text ?? "") as {
      readonly jwt: readonly { readonly issuer: { readonly url: string; readonly audiences: readonly string[] } }[];
    };
    expect(cluster.jwt[0]?.issuer).toEqual({ url: ISSUER, audiences: ["https://kubernetes.acme.dev"] });
  });

  it("are good as they stand in the documentation of each party", () => {
    for (const { audience } of RELYING_PARTIES) expect([audience, faultOf({ audience })]).toEqual([audience, undefined]);
    expect(jwtParams(ISSUER).safeParse({ audience: ISSUER, profile: "federation" }).success).toBe(false);
  });
});
