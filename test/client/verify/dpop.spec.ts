import { describe, expect, it } from "@jest/globals";
import { exportJWK, generateKeyPair } from "jose";
import express from "express";
import type { AddressInfo } from "node:net";
import { createVerifier, createTestIssuer, dpop, protect, type TestIssuer, type Verifier } from "../../../client/verify/index.ts";
import { protect as protectExpress } from "../../../client/verify/express.ts";
import type { DpopOptions } from "../../../client/verify/dpop.ts";
import { SpentProofs } from "../../../client/verify/spent-proofs.ts";
import { proofMaker, type ProofChange, type ProofMaker } from "../../support/dpop.ts";

const ORIGIN = "https://api.example";
const URL_ = `${ORIGIN}/deploy/42`;
const ALGS = "ES256 ES384 Ed25519 RS256 PS256";

interface Scene extends AsyncDisposable {
  readonly idp: TestIssuer;
  readonly verifier: Verifier;
  readonly maker: ProofMaker;
  readonly token: string;
  /** The answer to a request as a proxy hands it on: another origin, the same path. */
  ask(
    proof: string | readonly string[] | undefined,
    change?: { scheme?: string; token?: string; url?: string; method?: string },
  ): Promise<Response>;
  nonce: string | undefined;
}

async function scene(options: Partial<DpopOptions> = {}, alg = "ES256"): Promise<Scene> {
  const idp = await createTestIssuer();
  const log: string[] = [];
  const now = (): number => idp.clock.now();
  const verifier = createVerifier({
    ...idp.options,
    log: ({ message }) => void log.push(message),
    confirmations: [dpop({ origin: ORIGIN, now, ...options })],
  });
  await verifier.ready();
  const handle = protect(verifier, () => new Response("in"), { realm: "r", errors: "minimal" });
  const self: { nonce: string | undefined } = { nonce: undefined };
  const maker = await proofMaker({ method: "POST", url: URL_, now, nonce: () => self.nonce }, alg);
  const token = await idp.token({ claims: { cnf: { jkt: maker.thumbprint } } });
  return Object.assign(self, {
    idp,
    verifier,
    maker,
    token,
    async ask(
      proof: string | readonly string[] | undefined,
      change: { scheme?: string; token?: string; url?: string; method?: string } = {},
    ) {
      const headers = new Headers({ authorization: `${change.scheme ?? "DPoP"} ${change.token ?? token}` });
      for (const one of proof === undefined ? [] : [proof].flat()) headers.append("dpop", one);
      const response = await handle(
        new Request(change.url ?? "http://127.0.0.1:3000/deploy/42?x=1", { method: change.method ?? "POST", headers }),
      );
      self.nonce = response.headers.get("dpop-nonce") ?? self.nonce;
      return response;
    },
    async [Symbol.asyncDispose]() {
      await verifier.close();
      await idp[Symbol.asyncDispose]();
    },
  });
}
const told = (response: Response): readonly [number, string | null] => [response.status, response.headers.get("www-authenticate")];
const refusal = (error: string): readonly [number, string] => [401, `DPoP algs="${ALGS}", realm="r", error="${error}"`];

describe("a token bound to a DPoP key", () => {
  it.each(ALGS.split(" "))("opens with a proof of its key, once (%s)", async (alg) => {
    await using at = await scene({}, alg);
    const proof = await at.maker.proof({ token: at.token });
    expect(await (await at.ask(proof)).text()).toBe("in");
    expect(told(await at.ask(proof))).toEqual(refusal("invalid_dpop_proof"));
    expect((await at.ask(await at.maker.proof({ token: at.token }))).status).toBe(200);
  });

  it("opens nothing as Bearer, even with a proof, nor without one", async () => {
    await using at = await scene();
    expect(told(await at.ask(await at.maker.proof({ token: at.token }), { scheme: "Bearer" }))).toEqual(refusal("invalid_token"));
    expect(told(await at.ask(undefined, { scheme: "Bearer" }))).toEqual(refusal("invalid_token"));
    expect(told(await at.ask(undefined))).toEqual(refusal("invalid_dpop_proof"));
  });

  it("opens nothing for another key, and an unbound token nothing under its scheme", async () => {
    await using at = await scene();
    const thief = await proofMaker({ method: "POST", url: URL_, now: () => at.idp.clock.now(), nonce: () => undefined });
    expect(told(await at.ask(await thief.proof({ token: at.token })))).toEqual(refusal("invalid_token"));
    const plain = await at.idp.token();
    expect((await at.ask(await at.maker.proof({ token: plain }), { token: plain })).status).toBe(401);
    const two = await at.idp.token({ claims: { cnf: { jkt: at.maker.thumbprint, "x5t#S256": at.maker.thumbprint } } });
    expect((await at.ask(await at.maker.proof({ token: two }), { token: two })).status).toBe(401);
  });

  it("is refused where nobody can check its proof", async () => {
    await using at = await scene();
    await using blind = createVerifier({ ...at.idp.options, log: () => undefined });
    await blind.ready();
    await expect(blind.verify({ scheme: "DPoP", token: at.token })).rejects.toMatchObject({ reason: "proof_needed" });
  });

  const mutations: readonly { readonly name: string; readonly change: ProofChange }[] = [
    { name: "of another typ", change: { header: { typ: "JWT" } } },
    { name: "without a key", change: { header: { jwk: undefined } } },
    { name: "with a header of its own", change: { header: { url: "x" } } },
    { name: "without jti", change: { claims: { jti: undefined } } },
    { name: "with an endless jti", change: { claims: { jti: "j".repeat(129) } } },
    { name: "without htm", change: { claims: { htm: undefined } } },
    { name: "for another method", change: { claims: { htm: "GET" } } },
    { name: "without htu", change: { claims: { htu: undefined } } },
    { name: "for another path", change: { claims: { htu: `${ORIGIN}/deploy/43` } } },
    { name: "for the host that the request names", change: { claims: { htu: "http://127.0.0.1:3000/deploy/42" } } },
    { name: "for another scheme", change: { claims: { htu: "http://api.example/deploy/42" } } },
    { name: "without iat", change: { claims: { iat: undefined } } },
    { name: "of long ago", change: { claims: { iat: 1 } } },
    { name: "of the far future", change: { claims: { iat: 4_000_000_000 } } },
    { name: "without ath", change: { claims: { ath: undefined } } },
    { name: "with another's ath", change: { token: "another" } },
  ];
  it.each(mutations)("is refused with a proof $name", async ({ change }) => {
    await using at = await scene();
    expect(told(await at.ask(await at.maker.proof({ token: at.token, ...change })))).toEqual(refusal("invalid_dpop_proof"));
    expect((await at.ask(await at.maker.proof({ token: at.token }))).status).toBe(200);
  });

  it("is refused with two proofs, a private key in one, another's signature, none, or no JWS at all", async () => {
    await using at = await scene();
    const proof = (change: ProofChange = {}): Promise<string> => at.maker.proof({ token: at.token, ...change });
    const stranger = await generateKeyPair("ES256");
    const good = (await proof()).split(".");
    const unsigned = Buffer.from(JSON.stringify({ alg: "none", typ: "dpop+jwt", jwk: at.maker.jwk })).toString("base64url");
    const bad: readonly (string | readonly string[])[] = [
      [await proof(), await proof()],
      await proof({ header: { jwk: await exportJWK(at.maker.privateKey) } }),
      await proof({ header: { jwk: { ...at.maker.jwk, crv: "P-384" } } }),
      await proof({ signWith: stranger.privateKey }),
      `${unsigned}.${good[1]}.${good[2]}`,
      `${good[0]}.${good[1]}.`,
      "x",
      "x".repeat(5000),
      at.token,
    ];
    for (const one of bad) expect(told(await at.ask(one))).toEqual(refusal("invalid_dpop_proof"));
  });

  it("takes the query and another spelling of the URL for the same", async () => {
    await using at = await scene();
    const htu = "HTTPS://API.example:443/x/../deploy/%34%32?y#z";
    expect((await at.ask(await at.maker.proof({ token: at.token, claims: { htu } }))).status).toBe(200);
  });
});

describe("a server that asks for nonces", () => {
  it("gives one with each answer, takes it for at least a window, and says when it is too old", async () => {
    await using at = await scene({ nonce: true });
    const proof = (): Promise<string> => at.maker.proof({ token: at.token });
    const first = await at.ask(await proof());
    expect(told(first)).toEqual(refusal("use_dpop_nonce"));
    const second = await at.ask(await proof());
    expect([second.status, second.headers.get("dpop-nonce")]).toEqual([200, at.nonce]);
    const old = at.nonce;
    await at.idp.advance("90s");
    expect((await at.ask(await proof())).status).toBe(200);
    at.nonce = old;
    await at.idp.advance("90s");
    expect(told(await at.ask(await proof()))).toEqual(refusal("use_dpop_nonce"));
  });

  it("knows the nonces of servers with the same secret, and no others", async () => {
    const secret = "a secret of the two of us, and of nobody else";
    await using one = await scene({ nonce: secret });
    await one.ask(await one.maker.proof({ token: one.token }));
    await using two = await scene({ nonce: secret, now: () => one.idp.clock.now() });
    await using other = await scene({ nonce: true, now: () => one.idp.clock.now() });
    two.nonce = other.nonce = one.nonce;
    const claims = { iat: Math.floor(one.idp.clock.now() / 1000) };
    expect((await two.ask(await two.maker.proof({ token: two.token, claims }))).status).toBe(200);
    expect(told(await other.ask(await other.maker.proof({ token: other.token, claims })))).toEqual(refusal("use_dpop_nonce"));
    expect(() => dpop({ origin: ORIGIN, nonce: "short" })).toThrow("a nonce secret has at least 32 characters");
  });
});

describe("options", () => {
  it.each([
    { origin: "https://api.example/" },
    { origin: "api.example" },
    { origin: ORIGIN, algorithms: ["HS256"] },
    { origin: ORIGIN, algorithms: [] },
  ])("that cannot be are said at once: %j", (options) => {
    expect(() => dpop(options)).toThrow(TypeError);
  });
});

describe("used proofs", () => {
  it("are held within bounds; what had to be forgotten early is not taken again", () => {
    const spent = new SpentProofs(3);
    for (const [index, name] of ["a", "b", "c", "d"].entries()) expect(spent.spend(name, 1000 + index, 0)).toBe(true);
    expect(spent.size).toBe(3);
    expect([spent.spend("a", 1000, 0), spent.spend("b", 1001, 0), spent.spend("e", 1000, 0), spent.spend("f", 1004, 0)]).toEqual([
      false,
      false,
      false,
      true,
    ]);
  });

  it("are forgotten once they are too old by themselves", () => {
    const spent = new SpentProofs(3);
    for (let at = 0; at < 100; at += 1) expect(spent.spend(`p${at}`, at + 2, at)).toBe(true);
    expect(spent.size).toBeLessThanOrEqual(3);
  });
});

describe("the express adapter", () => {
  it("challenges, admits, and hands the next nonce on", async () => {
    const idp = await createTestIssuer();
    const app = express();
    let port = 0;
    const now = (): number => idp.clock.now();
    const server = app.listen(0, "127.0.0.1");
    await new Promise<void>((resolve) => void server.once("listening", resolve));
    port = (server.address() as AddressInfo).port;
    const origin = `http://127.0.0.1:${port}`;
    const guard = protectExpress({ ...idp.options, log: () => undefined, confirmations: [dpop({ origin, nonce: true, now })] });
    await guard.verifier.ready();
    app.get("/x", guard, (_request, response) => void response.send("in"));
    let nonce: string | undefined;
    const maker = await proofMaker({ method: "GET", url: `${origin}/x`, now, nonce: () => nonce });
    const token = await idp.token({ claims: { cnf: { jkt: maker.thumbprint } } });
    const ask = async (): Promise<Response> => {
      const response = await fetch(`${origin}/x?q`, { headers: { authorization: `DPoP ${token}`, dpop: await maker.proof({ token }) } });
      nonce = response.headers.get("dpop-nonce") ?? nonce;
      return response;
    };
    expect((await ask()).headers.get("www-authenticate")).toContain('error="use_dpop_nonce"');
    const second = await ask();
    expect([second.status, second.headers.get("dpop-nonce")]).toEqual([200, nonce]);
    const bare = await fetch(`${origin}/x`);
    expect(bare.headers.get("www-authenticate")).toContain("DPoP realm=");
    server.closeAllConnections();
    server.close();
    await guard.verifier.close();
    await idp[Symbol.asyncDispose]();
  });
});
