import assert from "node:assert/strict";
import { generateKeyPairSync, randomUUID, sign, type KeyObject } from "node:crypto";
import { join } from "node:path";
import { freePort } from "../../test/support/redis.ts";
import { SERVER_CORE, startNode } from "./children.ts";
import type { HttpPath } from "./options.ts";
import type { PeerSettings } from "./peer-server.ts";
import { ready, type Program } from "./programs.ts";
import { AUDIENCE, BASIC, VERIFIER } from "./scenario.ts";

/** A lane of the peer's on one of our paths: what it is asked, how, and what a right answer holds. */
export interface PeerLane {
  readonly name: string;
  readonly route: string;
  readonly headers: readonly string[];
  readonly expect: string;
  /** Bodies of token requests; undefined where its own tokens are sent. */
  readonly mint?: (count: number) => readonly string[];
}

/** Another token server on the same Redis, the same core and in the same rounds. */
export interface Peer extends Program {
  lanes(path: HttpPath): readonly PeerLane[];
  /** How it gives tokens that it can introspect and revoke itself, to stock up outside of the measurement. */
  readonly stock: PeerLane;
}

const CLIENT = "bench-job";
const PATHS: readonly HttpPath[] = ["issue-es256", "introspect", "revoke"];

/** Starts node-oidc-provider and holds it to right answers before it is measured. */
export async function startPeer(redisUrl: string): Promise<Peer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: CLIENT, use: "sig", alg: "ES256" };
  const settings: PeerSettings = { url, port, redisUrl, audience: AUDIENCE, client: CLIENT, jwk, verifier: VERIFIER };
  const child = startNode(join(import.meta.dirname, "peer-server.js"), [JSON.stringify(settings)], { core: SERVER_CORE, quiet: true });
  const program = await ready({ name: "peer", url, port, child, log: undefined });
  const basic = [`Authorization: ${BASIC}`];
  const asserted = (more: string) => (count: number) => Array.from({ length: count }, () => assertion(privateKey, url) + more);
  const opaque: PeerLane = {
    name: "node-oidc-provider, opaque",
    route: "token",
    headers: [],
    expect: '"access_token":"',
    mint: asserted(""),
  };
  const jwt: PeerLane = { ...opaque, name: "node-oidc-provider, JWT", mint: asserted(`&resource=${encodeURIComponent(AUDIENCE)}`) };
  const lanes: Partial<Record<HttpPath, readonly PeerLane[]>> = {
    "issue-es256": [opaque, jwt],
    introspect: [{ name: "node-oidc-provider", route: "introspect", headers: basic, expect: '"active":true' }],
    revoke: [{ name: "node-oidc-provider", route: "revoke", headers: basic, expect: "" }],
  };
  const stock = {
    ...opaque,
    headers: basic,
    mint: (count: number) => Array<string>(count).fill("grant_type=client_credentials&scope=deploy%3Awrite"),
  };
  const peer: Peer = { ...program, lanes: (path) => lanes[path] ?? [], stock };
  try {
    await check(peer, [opaque, jwt]);
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
  return peer;
}

/** Whether any of these paths has a lane of the peer's. */
export const comparable = (paths: readonly HttpPath[]): boolean => paths.some((path) => PATHS.includes(path));

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A request by `private_key_jwt` (RFC 7523), each with an assertion of its own: the peer takes none twice. */
function assertion(key: KeyObject, audience: string): string {
  const now = Math.floor(Date.now() / 1000);
  const input = `${part({ alg: "ES256", kid: CLIENT })}.${part({ iss: CLIENT, sub: CLIENT, aud: audience, jti: randomUUID(), iat: now, exp: now + 300 })}`;
  const signature = sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
  const type = encodeURIComponent("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
  return `grant_type=client_credentials&scope=deploy%3Awrite&client_id=${CLIENT}&client_assertion_type=${type}&client_assertion=${input}.${signature}`;
}

/** A program that answers wrongly must not be measured, whoever wrote it. */
async function check(peer: Peer, issuing: readonly PeerLane[]): Promise<void> {
  const post = async (route: string, body: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
    fetch(`${peer.url}/oauth2/${route}`, {
      method: "POST",
      body,
      headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
    });
  const tokenOf = async (body: string, headers = {}): Promise<string> => {
    const answer = await post("token", body, headers);
    const text = await answer.text();
    assert.equal(answer.status, 200, `the peer gives a token: ${text}`);
    return String((JSON.parse(text) as { readonly access_token: unknown }).access_token);
  };
  const [opaque, jwt] = issuing.map((lane) => lane.mint?.(1)[0] ?? "");
  assert.doesNotMatch(await tokenOf(opaque ?? ""), /\./, "an opaque token");
  assert.match(await tokenOf(jwt ?? ""), /^[\w-]+\.[\w-]+\.[\w-]+$/, "a JWT");
  assert.equal((await post("token", (opaque ?? "").slice(0, -8))).status, 401, "a spoilt assertion is refused");
  const authorization = BASIC;
  const token = await tokenOf(peer.stock.mint?.(1)[0] ?? "", { authorization });
  const active = async (): Promise<unknown> =>
    ((await (await post("introspect", `token=${token}`, { authorization })).json()) as { readonly active: unknown }).active;
  assert.equal(await active(), true, "a live token is active");
  assert.equal((await post("revoke", `token=${token}`, { authorization })).status, 200);
  assert.equal(await active(), false, "a revoked token is not active");
}
