/**
 * The floor: the leanest program that does honestly what no issuer of revocable tokens can leave out. It parses the request,
 * verifies the evidence (keys cached), decides by an indexed rule, signs an access token and writes lease, due time, workload and
 * task index and audit entry in one script. No budgets, no locks, no replay control, no log, no metrics, no task tokens: what the
 * broker does beyond this is what the ratio is about. Keep it lean; a floor that got slower is a finding.
 */
import { createPublicKey, generateKeyPairSync, hash, randomFillSync, sign, verify, type JsonWebKey, type KeyObject } from "node:crypto";
import { createServer, IncomingMessage, ServerResponse } from "node:http";
import express from "express";
import { Redis } from "ioredis";
import { OPEN, REVOKE } from "./floor-script.ts";
import type { Rule, TrustFacts } from "./scenario.ts";

/** Everything the floor is told, as JSON in its first argument. */
export interface FloorSettings {
  readonly url: string;
  readonly port: number;
  readonly redisUrl: string;
  readonly trusts: readonly TrustFacts[];
  readonly rules: readonly Rule[];
  readonly audience: string;
  /** `Authorization` of the one verifier. */
  readonly basic: string;
}

type Claims = Readonly<Record<string, unknown>>;
type Row = readonly [
  state: string,
  subject: string,
  workload: string,
  grant: string,
  task: string,
  opened: number,
  expires: number,
  sha256: string,
];
interface KnownRule {
  readonly environments: ReadonlySet<unknown>;
  readonly events: ReadonlySet<unknown>;
  readonly ref: RegExp;
}

const TTL_SECONDS = 600;
const SCOPE = "deploy:write";
const settings = JSON.parse(process.argv[2] ?? "{}") as FloorSettings;
const redis = new Redis(settings.redisUrl);
const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ownKid = "floor";
const ownHeader = Buffer.from(JSON.stringify({ alg: "ES256", typ: "at+jwt", kid: ownKid })).toString("base64url");
const basicHash = hash("sha256", settings.basic, "hex");
const openSha = hash("sha1", OPEN, "hex");
const revokeSha = hash("sha1", REVOKE, "hex");

const trusts = new Map(settings.trusts.map((trust) => [trust.issuer, trust]));
/** By the header as it is spelt, which is the same for all tokens of a key. */
const keys = new Map(
  settings.trusts.map((trust) => {
    const header = Buffer.from(JSON.stringify({ alg: trust.alg, typ: "JWT", kid: trust.kid })).toString("base64url");
    return [header, { trust, key: createPublicKey({ key: trust.jwk as JsonWebKey, format: "jwk" }) }];
  }),
);
const rules = new Map<string, KnownRule>(
  settings.rules.map((rule) => [
    `${rule.trust} ${rule.repositoryId} ${rule.grant}`,
    { environments: new Set(rule.environments), events: new Set(rule.events), ref: /^refs\/heads\/.+$/ },
  ]),
);

class Refused extends Error {}

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const pool = new Uint8Array(4096);
let used = pool.length;
/** Sortable by time, random otherwise; bytes from a pool. */
function newId(now: number): string {
  if (used + 16 > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  let text = now.toString(36);
  for (let index = 0; index < 16; index += 1) text += ALPHABET[(pool[used + index] ?? 0) & 31];
  used += 16;
  return text;
}

const decode = (segment: string): unknown => JSON.parse(Buffer.from(segment, "base64url").toString("utf8"));

function verifySignature(alg: string, key: KeyObject, token: string, end: number): boolean {
  const input = Buffer.from(token.slice(0, end));
  const signature = Buffer.from(token.slice(end + 1), "base64url");
  return verify("sha256", input, alg === "ES256" ? { key, dsaEncoding: "ieee-p1363" } : key, signature);
}

function attest(token: string, now: number): { readonly trust: string; readonly claims: Claims } {
  const first = token.indexOf(".");
  const last = token.lastIndexOf(".");
  const known = keys.get(token.slice(0, first));
  if (known === undefined || !verifySignature(known.trust.alg, known.key, token, last)) throw new Refused("evidence");
  const claims = decode(token.slice(first + 1, last)) as Claims;
  const { iss, aud, exp, iat } = claims;
  const fresh = typeof exp === "number" && typeof iat === "number" && exp * 1000 > now - 30_000 && iat * 1000 < now + 30_000;
  if (trusts.get(String(iss)) !== known.trust || aud !== settings.url || !fresh) throw new Refused("evidence");
  return { trust: known.trust.name, claims };
}

function decide(trust: string, claims: Claims, grant: string): void {
  const rule = rules.get(`${trust} ${String(claims["repository_id"])} ${grant}`);
  const holds =
    rule !== undefined &&
    rule.environments.has(claims["environment"]) &&
    rule.events.has(claims["event_name"]) &&
    rule.ref.test(String(claims["ref"]));
  if (!holds) throw new Refused("not permitted");
}

function signToken(claims: Claims): string {
  const input = `${ownHeader}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
  return `${input}.${sign("sha256", Buffer.from(input), { key: own.privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}

/** `withTaskToken` signs the second token that a broker's answer holds; no part of the floor, only to tell what it costs. */
async function issue(form: ReadonlyMap<string, string>, withTaskToken = false): Promise<object> {
  const now = Date.now();
  if (form.get("grant_type") !== "urn:ietf:params:oauth:grant-type:token-exchange") throw new Refused("grant_type");
  const grant = (form.get("scope") ?? "").replace(/^grant:/, "");
  const { trust, claims } = attest(form.get("subject_token") ?? "", now);
  decide(trust, claims, grant);
  const id = newId(now);
  const subject = `${trust}:${String(claims["repository_id"])}`;
  const workload = `github/${String(claims["repository"])}`;
  const task = `${subject} ${String(claims["run_id"])}.${String(claims["run_attempt"])}.${String(claims["check_run_id"])}`;
  const iat = Math.floor(now / 1000);
  const said = {
    iss: settings.url,
    sub: subject,
    aud: settings.audience,
    exp: iat + TTL_SECONDS,
    iat,
    nbf: iat - 5,
    jti: id,
    client_id: subject,
  };
  const token = signToken({ ...said, scope: SCOPE, lease_id: id, task_id: task, grant, workload });
  const expires = now + TTL_SECONDS * 1000;
  const row: Row = ["a", subject, workload, grant, task, now, expires, hash("sha256", token, "base64url")];
  const audit = { action: "lease.issued", principal: subject, decision: "allow", grant, workload, lease: id, task };
  await run(
    openSha,
    OPEN,
    [`floor:l:${id}`, `floor:w:${subject}`, `floor:t:${task}`],
    [id, JSON.stringify(row), expires, JSON.stringify(audit)],
  );
  return {
    access_token: token,
    issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
    token_type: "Bearer",
    expires_in: TTL_SECONDS,
    scope: SCOPE,
    lease_id: id,
    task_id: task,
    ...(withTaskToken ? { task_token: signToken({ iss: settings.url, sub: subject, task_id: task, claims }) } : {}),
  };
}

async function run(sha: string, script: string, keysOf: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
  try {
    return await redis.evalsha(sha, keysOf.length, ...keysOf, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
    return redis.eval(script, keysOf.length, ...keysOf, ...args);
  }
}

const idIn = (token: string): string => {
  try {
    return String((decode(token.split(".")[1] ?? "") as Claims)["lease_id"]);
  } catch {
    return "";
  }
};

const INACTIVE = { active: false };

/** The record says whether it lives; the signature, that the token is ours. */
async function introspect(form: ReadonlyMap<string, string>, authorization: string | undefined): Promise<object> {
  if (authorization === undefined || hash("sha256", authorization, "hex") !== basicHash) throw new Refused("client");
  const token = form.get("token") ?? "";
  const last = token.lastIndexOf(".");
  const first = ownHeader.length;
  if (!token.startsWith(`${ownHeader}.`) || last <= first || !verifySignature("ES256", own.publicKey, token, last)) return INACTIVE;
  const claims = decode(token.slice(first + 1, last)) as Claims;
  if (Number(claims["exp"]) * 1000 <= Date.now() || claims["aud"] !== settings.audience) return INACTIVE;
  const text = await redis.get(`floor:l:${String(claims["lease_id"])}`);
  if (text === null || (JSON.parse(text) as Row)[0] !== "a") return INACTIVE;
  return { ...claims, active: true, token_type: "Bearer" };
}

/** Without a signature: the hash kept at issue says as surely that the token is ours, and costs a hundredth. */
async function introspectByHash(form: ReadonlyMap<string, string>, authorization: string | undefined): Promise<object> {
  if (authorization === undefined || hash("sha256", authorization, "hex") !== basicHash) throw new Refused("client");
  const token = form.get("token") ?? "";
  const text = await redis.get(`floor:l:${idIn(token)}`);
  const row = text === null ? undefined : (JSON.parse(text) as Row);
  if (row === undefined || row[0] !== "a" || row[6] <= Date.now() || row[7] !== hash("sha256", token, "base64url")) return INACTIVE;
  return { ...(decode(token.split(".")[1] ?? "") as Claims), active: true, token_type: "Bearer" };
}

async function revoke(form: ReadonlyMap<string, string>): Promise<object> {
  const token = form.get("token") ?? "";
  const id = idIn(token);
  const audit = JSON.stringify({ action: "lease.ended", ended_by: "released", lease: id });
  await run(revokeSha, REVOKE, [`floor:l:${id}`], [id, hash("sha256", token, "base64url"), audit]);
  return {};
}

function parseForm(text: string): ReadonlyMap<string, string> {
  const form = new Map<string, string>();
  for (const pair of text.split("&")) {
    const equals = pair.indexOf("=");
    const value = pair.slice(equals + 1);
    form.set(pair.slice(0, equals), /[%+]/.test(value) ? decodeURIComponent(value.replaceAll("+", " ")) : value);
  }
  return form;
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, [
    "Content-Type",
    "application/json",
    "Cache-Control",
    "no-store",
    "Content-Length",
    String(Buffer.byteLength(text)),
  ]);
  response.end(text);
}

type Handle = (form: ReadonlyMap<string, string>, authorization: string | undefined) => Promise<object>;
const answering =
  (handle: Handle) =>
  (request: IncomingMessage, response: ServerResponse): void => {
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (text.length > 65_536) request.destroy();
    });
    request.once("end", () => {
      handle(parseForm(text), request.headers.authorization).then(
        (body) => send(response, 200, body),
        (error: unknown) =>
          send(response, error instanceof Refused ? 400 : 500, { error: error instanceof Error ? error.message : "failed" }),
      );
    });
  };

const app = express();
app.disable("x-powered-by").disable("etag");
// nothing is swapped, and V8's objects stay quick: Express's helpers are not used
Object.assign(app, { request: IncomingMessage.prototype, response: ServerResponse.prototype });
app.post(
  "/oauth2/token",
  answering((form) => issue(form)),
);
app.post(
  "/oauth2/token-and-task-token",
  answering((form) => issue(form, true)),
);
app.post("/oauth2/introspect", answering(introspect));
app.post("/oauth2/introspect-by-hash", answering(introspectByHash));
app.post("/oauth2/revoke", answering(revoke));
app.get("/.well-known/jwks.json", (_request, response) =>
  send(response, 200, { keys: [{ ...own.publicKey.export({ format: "jwk" }), kid: ownKid, alg: "ES256", use: "sig" }] }),
);
app.get("/readyz", (_request, response) => send(response, 200, {}));
createServer(app).listen(settings.port, "127.0.0.1");
process.once("SIGTERM", () => process.exit(0));
