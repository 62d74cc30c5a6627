import assert from "node:assert/strict";
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from "jose";
import type { Program } from "./programs.ts";
import { AUDIENCE, BASIC, type EvidenceAlg, type Scenario } from "./scenario.ts";

type Body = Readonly<Record<string, unknown>>;

/**
 * A program that answers wrongly must not be measured. Both are asked the same: good evidence of each kind, evidence with a spoilt
 * signature, of another audience, expired, and of a repository that no rule allows; then introspection before and after revocation.
 */
export async function checkAnswers(program: Program, scenario: Scenario): Promise<void> {
  const keys = (await (await fetch(`${program.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
  const seen = new Set<unknown>();
  for (const alg of ["ES256", "RS256"] as const) {
    for (const body of await scenario.mint(3, alg, program.url)) {
      const issued = await ask(program, "token", body, 200);
      const { payload } = await jwtVerify(String(issued["access_token"]), createLocalJWKSet(keys), {
        issuer: program.url,
        audience: AUDIENCE,
        typ: "at+jwt",
      });
      assert.equal(payload["lease_id"], issued["lease_id"], "the token names its lease");
      assert.match(String(payload.sub), new RegExp(`^${alg.toLowerCase()}:4\\d{5}$`), "the token names its workload");
      assert.ok(Number(issued["expires_in"]) > 590, "the token lives as long as its grant says");
      seen.add(issued["lease_id"]);
    }
    await checkRefusals(program, scenario, alg);
  }
  assert.equal(seen.size, 6, "each request has a lease of its own");
  await checkEnding(program, scenario);
}

async function checkRefusals(program: Program, scenario: Scenario, alg: EvidenceAlg): Promise<void> {
  const one = async (audience: string, change: Body = {}): Promise<string> => (await scenario.mint(1, alg, audience, change))[0] ?? "";
  const good = await one(program.url);
  const at = good.lastIndexOf(".") + 8;
  const spoilt = good.slice(0, at) + (good[at] === "A" ? "B" : "A") + good.slice(at + 1);
  const now = Math.floor(Date.now() / 1000);
  const bad = [spoilt, await one("https://elsewhere.test"), await one(program.url, { iat: now - 900, nbf: now - 900, exp: now - 600 })];
  for (const body of [
    ...bad,
    await one(program.url, { repository_id: "999" }),
    await one(program.url, { event_name: "pull_request_target" }),
  ]) {
    const refused = await ask(program, "token", body, 400);
    assert.equal(refused["access_token"], undefined, "a refusal holds no token");
  }
}

async function checkEnding(program: Program, scenario: Scenario): Promise<void> {
  const [body = ""] = await scenario.mint(1, "ES256", program.url);
  const token = String((await ask(program, "token", body, 200))["access_token"]);
  const paths = program.name === "floor" ? ["introspect", "introspect-by-hash"] : ["introspect"];
  for (const path of paths) {
    assert.equal((await ask(program, path, `token=${token}`, 200))["active"], true, "a live token is active");
    assert.equal((await ask(program, path, `token=${token.slice(0, -8)}AAAAAAAA`, 200))["active"], false, "a forged token is not");
  }
  await ask(program, "revoke", `token=${token.slice(0, -8)}AAAAAAAA`, 200);
  assert.equal((await ask(program, "introspect", `token=${token}`, 200))["active"], true, "a forged token ends nothing");
  await ask(program, "revoke", `token=${token}`, 200);
  for (const path of paths)
    assert.equal((await ask(program, path, `token=${token}`, 200))["active"], false, "a revoked token is not active");
}

async function ask(program: Program, path: string, body: string, status: number): Promise<Body> {
  const headers: Record<string, string> = { "content-type": "application/x-www-form-urlencoded" };
  if (path.startsWith("introspect")) headers["authorization"] = BASIC;
  const response = await fetch(`${program.url}/oauth2/${path}`, { method: "POST", headers, body });
  const answer = (await response.json()) as Body;
  assert.equal(response.status, status, `${program.name} ${path}: ${JSON.stringify(answer).slice(0, 300)}`);
  return answer;
}
