import { type KeyObject, generateKeyPair, randomBytes, randomUUID, sign } from "node:crypto";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { type Clock, systemClock, toSeconds } from "../../domain/time.ts";
import { presetClaims } from "./idp-claims.ts";

/** What may be wrong with a document that the provider serves. */
export type IdpFault =
  | "hang"
  | "slow"
  | "huge"
  | "redirect"
  | "error"
  | "html"
  | "nothing"
  | "empty"
  | "many-keys"
  | "duplicate-kid"
  | "duplicate-member"
  | "private-key"
  | "symmetric-key"
  | "weak-key"
  | "foreign-issuer"
  | "http-elsewhere";

export interface IdpOptions {
  /** For `iat`; the machine's own unless a test moves one. */
  readonly clock?: Clock;
  /** How its first key signs. */
  readonly algorithm?: string;
  /** Serve TLS with this key and certificate (PEM). */
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly port?: number;
  /** Path of the issuer, as Kubernetes and CircleCI have one; begins with `/`. */
  readonly path?: string;
}

export interface TokenOptions {
  /** Members of the header to add, replace or (undefined) leave out. */
  readonly header?: Readonly<Record<string, unknown>>;
  readonly lifetimeSeconds?: number;
  /** Sign with this key of the provider instead of the newest. */
  readonly kid?: string;
  /** Sign with a key that the provider never published. */
  readonly forge?: boolean;
}

export interface IdpKey {
  readonly kid: string;
  readonly algorithm: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** A stand-in identity provider on loopback: it really signs, really publishes its keys, and misbehaves on request. */
export interface TestIdp extends AsyncDisposable {
  readonly issuer: string;
  readonly jwksUri: string;
  /** Requests it saw, by document. */
  readonly calls: { discovery: number; jwks: number; runner: number };
  /** Connections anybody opened. */
  connections(): number;
  fault: { discovery?: IdpFault; jwks?: IdpFault };
  /** Keys, newest last. */
  readonly keys: readonly IdpKey[];
  /** A signed token; members given as undefined are left out. `aud` is for the caller to say. */
  token(claims: Readonly<Record<string, unknown>>, options?: TokenOptions): Promise<string>;
  /** The document of its public keys. */
  jwks(): { readonly keys: readonly Readonly<Record<string, unknown>>[] };
  /** Signs with a new key from here on; the old ones stay published unless dropped. */
  rotate(how?: { readonly drop?: boolean; readonly algorithm?: string; readonly kid?: string }): Promise<IdpKey>;
  /** GitHub's way to a token inside a job: `ACTIONS_ID_TOKEN_REQUEST_URL` and `_TOKEN`; `claims` are of the next job. */
  readonly runner: { readonly requestUrl: string; readonly requestToken: string; claims: Readonly<Record<string, unknown>> };
}

const generate = promisify(generateKeyPair);

/** A key pair for a JWS algorithm. */
export async function idpKey(algorithm: string, kid: string = randomUUID()): Promise<IdpKey> {
  const curves: Readonly<Record<string, string>> = { ES256: "P-256", ES384: "P-384", ES512: "P-521" };
  const curve = curves[algorithm];
  const pair = curve
    ? await generate("ec", { namedCurve: curve })
    : algorithm === "Ed25519" || algorithm === "EdDSA"
      ? await generate("ed25519")
      : await generate("rsa", { modulusLength: 2048 });
  return { kid, algorithm, ...pair };
}

/** A compact JWS over exactly these texts, valid JSON or not. */
export function signCompact(header: string, payload: string, key: IdpKey): string {
  const input = `${Buffer.from(header).toString("base64url")}.${Buffer.from(payload).toString("base64url")}`;
  const digest = key.algorithm.startsWith("Ed") ? null : `sha${key.algorithm.slice(-3)}`;
  const how = key.algorithm.startsWith("PS") ? { padding: 6, saltLength: -1 } : { dsaEncoding: "ieee-p1363" as const };
  return `${input}.${sign(digest, Buffer.from(input), { key: key.privateKey, ...how }).toString("base64url")}`;
}

/** Starts a provider. `await using idp = await startIdp();` */
export async function startIdp(options: IdpOptions = {}): Promise<TestIdp> {
  const clock = options.clock ?? systemClock;
  const keys: IdpKey[] = [await idpKey(options.algorithm ?? "RS256")];
  const published = (): Readonly<Record<string, unknown>>[] => keys.map(publicJwk);
  const calls = { discovery: 0, jwks: 0, runner: 0 };
  let connections = 0;
  const server: Server = options.tls ? createTlsServer(options.tls) : createServer();
  server.on("connection", () => connections++);
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const issuer = `${options.tls ? "https" : "http"}://127.0.0.1:${port}${options.path ?? ""}`;

  const idp: TestIdp = {
    issuer,
    jwksUri: `${issuer}/jwks.json`,
    calls,
    connections: () => connections,
    fault: {},
    keys,
    runner: {
      requestUrl: `${issuer}/runner/token?api-version=2.0`,
      requestToken: randomBytes(24).toString("base64url"),
      claims: presetClaims("github"),
    },
    async token(claims, how = {}) {
      const newest = keys.at(-1);
      const named = how.kid === undefined ? newest : keys.find(({ kid }) => kid === how.kid);
      if (!named) throw new Error("no such key");
      const key = how.forge ? await idpKey(named.algorithm, named.kid) : named;
      const now = toSeconds(clock());
      const times = { iat: now, nbf: now, exp: now + (how.lifetimeSeconds ?? 300), jti: randomUUID() };
      const header = { alg: key.algorithm, typ: "JWT", kid: key.kid, ...how.header };
      return signCompact(JSON.stringify(header), JSON.stringify({ iss: issuer, ...times, ...claims }), key);
    },
    jwks: () => ({ keys: published() }),
    async rotate(how = {}) {
      const key = await idpKey(how.algorithm ?? options.algorithm ?? "RS256", how.kid);
      if (how.drop) keys.length = 0;
      keys.push(key);
      return key;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  server.on("request", (request: IncomingMessage, response: ServerResponse) => void serve(idp, request, response, clock));
  return idp;
}

const publicJwk = ({ publicKey, kid, algorithm }: IdpKey): Readonly<Record<string, unknown>> => ({
  ...publicKey.export({ format: "jwk" }),
  kid,
  use: "sig",
  alg: algorithm,
});

async function serve(idp: TestIdp, request: IncomingMessage, response: ServerResponse, clock: Clock): Promise<void> {
  const url = new URL(request.url ?? "/", idp.issuer);
  const path = url.pathname.slice(new URL(idp.issuer).pathname.replace(/\/$/, "").length);
  if (path === "/.well-known/openid-configuration") {
    idp.calls.discovery++;
    const issuer = idp.fault.discovery === "foreign-issuer" ? `${idp.issuer}/` : idp.issuer;
    const jwksUri = idp.fault.discovery === "http-elsewhere" ? "http://192.168.7.7/jwks.json" : idp.jwksUri;
    return send(response, { issuer, jwks_uri: jwksUri, response_types_supported: ["id_token"] }, idp.fault.discovery);
  }
  if (path === "/jwks.json") {
    idp.calls.jwks++;
    return send(response, idp.jwks(), idp.fault.jwks);
  }
  if (path === "/runner/token") {
    idp.calls.runner++;
    const [scheme, bearer] = (request.headers.authorization ?? "").split(" ");
    if (scheme?.toLowerCase() !== "bearer" || bearer !== idp.runner.requestToken) return end(response, 401, "{}");
    const audience = url.searchParams.get("audience") ?? "https://github.com/octo-org";
    const value = await idp.token({ ...idp.runner.claims, aud: audience, iat: toSeconds(clock()) });
    return end(response, 200, JSON.stringify({ count: value.length, value }));
  }
  return end(response, 404, "{}");
}

function end(response: ServerResponse, status: number, body: string, type = "application/json"): void {
  response.writeHead(status, { "content-type": type }).end(body);
}

async function send(response: ServerResponse, document: object, fault: IdpFault | undefined): Promise<void> {
  const keys: readonly Readonly<Record<string, unknown>>[] = "keys" in document && Array.isArray(document.keys) ? document.keys : [];
  const first = keys[0] ?? {};
  switch (fault) {
    case "hang":
      return;
    case "slow":
      return drip(response, JSON.stringify(document));
    case "huge":
      return flood(response);
    case "redirect":
      return void response.writeHead(302, { location: "http://127.0.0.1:9/" }).end();
    case "error":
      return end(response, 500, "{}");
    case "html":
      return end(response, 200, "<html>it works</html>", "text/html");
    case "nothing":
      return end(response, 200, "");
    case "empty":
      return end(response, 200, JSON.stringify({ keys: [] }));
    case "many-keys":
      return end(
        response,
        200,
        JSON.stringify({ keys: Array.from({ length: 20_000 }, (_, at) => ({ kty: "EC", crv: "P-256", kid: `k${at}` })) }),
      );
    case "duplicate-kid":
      return end(
        response,
        200,
        JSON.stringify({ keys: [...keys, { ...publicJwk(await idpKey(String(first["alg"]))), kid: first["kid"] }] }),
      );
    case "duplicate-member":
      return end(response, 200, `${JSON.stringify(document).slice(0, -1)},"keys":[]}`);
    case "private-key":
      return end(response, 200, JSON.stringify({ keys: [{ ...first, d: "AQAB" }] }));
    case "symmetric-key":
      return end(response, 200, JSON.stringify({ keys: [...keys, { kty: "oct", k: "c2VjcmV0", kid: "hmac" }] }));
    case "weak-key": {
      const { publicKey } = await generate("rsa", { modulusLength: 1024 });
      return end(response, 200, JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: first["kid"], alg: "RS256" }] }));
    }
    default:
      return end(response, 200, JSON.stringify(document));
  }
}

/** One byte every tenth of a second. */
function drip(response: ServerResponse, body: string): void {
  response.writeHead(200, { "content-type": "application/json" });
  let at = 0;
  const timer = setInterval(() => {
    response.write(body[at++] ?? " ");
  }, 100);
  response.on("close", () => clearInterval(timer));
}

/** 300 MB, as fast as they are taken. */
function flood(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/json" });
  const chunk = Buffer.alloc(65_536, 0x20);
  let left = 4800;
  const pump = (): void => {
    while (left-- > 0 && !response.destroyed) if (!response.write(chunk)) return void response.once("drain", pump);
    response.end();
  };
  response.on("error", () => undefined);
  pump();
}
