import { type KeyObject, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { newId } from "../../domain/ids.ts";
import type { Clock } from "../../domain/time.ts";

/** What the feed server does instead of what it should. */
export type FeedFault =
  | "truncated-snapshot"
  | "wrong-count"
  | "foreign-snapshot"
  | "hanging-snapshot"
  | "hanging-stream"
  | "garbage"
  | "not-utf8"
  | "not-json"
  | "endless-line"
  | "wrong-type"
  | "redirect"
  | "reset-storm"
  | "unauthorized"
  | "error"
  | "mark-from-the-future";

export interface FeedServerOptions {
  /** The broker's clock. */
  readonly clock: Clock;
  readonly audience?: string;
  /** No `Date` header, as behind some proxies. */
  readonly undated?: boolean;
}

export interface SeenAnswer {
  readonly instance: string;
  readonly position: string;
  readonly max_staleness: number;
  readonly applied_at: number;
}

interface Entry {
  readonly event: "revoked" | "mark";
  readonly data: Readonly<Record<string, unknown>>;
}

/**
 * A small broker over real HTTP that speaks the feed, publishes keys and answers introspection; and misbehaves when told to. It
 * sends heartbeats only when asked for one, so that tests decide what time it is.
 */
export interface FeedServer extends AsyncDisposable {
  readonly url: string;
  readonly audience: string;
  readonly seen: readonly SeenAnswer[];
  readonly used: readonly { readonly instance: string; readonly uses: readonly Record<string, unknown>[] }[];
  /** Requests so far, by path. */
  readonly calls: Readonly<Record<string, number>>;
  /** Positions that streams began with. */
  readonly positions: readonly string[];
  readonly streams: number;
  fault: FeedFault | undefined;
  /** Of the key documents. */
  keyFault: "html" | "list" | "hang" | "error" | "huge" | "private" | "empty" | "foreign" | undefined;
  /** What introspection says: whether active, or nothing at all. */
  introspection: boolean | "error" | "hang";
  /** Members to add to or replace in the next snapshots' `as_of`. */
  asOf: (() => number) | undefined;
  revoke(lease: string, exp: number): void;
  mark(scope: string, name: string, at: number): void;
  heartbeat(): void;
  /** Sends text as it is. */
  raw(text: string): void;
  /** Forgets everything older: positions before now get a reset. */
  trim(): void;
  /** Cuts every connection. */
  cut(): void;
  /** Refuses connections, as a broker that is gone does; until back. */
  stop(): Promise<void>;
  start(): Promise<void>;
  token(claims?: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>): string;
  lease(): string;
  rotate(how?: { readonly drop?: boolean }): string;
  readonly publicJwk: Readonly<Record<string, unknown>>;
}

interface Key {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly jwk: Readonly<Record<string, unknown>>;
}

/** Starts one on a free loopback port. `await using feed = await startFeedServer({ clock });` */
export async function startFeedServer({ clock, audience = "https://api.test", undated = false }: FeedServerOptions): Promise<FeedServer> {
  const entries: Entry[] = [];
  const streams = new Set<ServerResponse>();
  const sockets = new Set<Socket>();
  const seen: SeenAnswer[] = [];
  const used: { instance: string; uses: Record<string, unknown>[] }[] = [];
  const calls: Record<string, number> = {};
  const positions: string[] = [];
  const keys: Key[] = [];
  let trimmedTo = 0;
  let server: Server;
  let port = 0;

  const asOf = (): number => feed.asOf?.() ?? clock();
  const position = (at: number = entries.length): string => Buffer.from(`pos:${at}`).toString("base64url");
  const write = (response: ServerResponse, event: string, data: object, at?: number): void => {
    response.write(`event: ${event}\nid: ${position(at)}\ndata: ${JSON.stringify({ as_of: asOf(), ...data })}\n\n`);
  };
  const everybody = (event: string, data: object): void => {
    for (const response of streams) write(response, event, data);
  };
  const date = (response: ServerResponse): void => {
    response.sendDate = false;
    if (!undated) response.setHeader("date", new Date(clock()).toUTCString());
  };

  const feed: FeedServer & { url: string } = {
    url: "",
    audience,
    seen,
    used,
    calls,
    positions,
    get streams() {
      return streams.size;
    },
    fault: undefined,
    keyFault: undefined,
    introspection: true,
    asOf: undefined,
    revoke(lease, exp) {
      const data = { leases: [[lease, exp]] };
      entries.push({ event: "revoked", data });
      everybody("revoked", data);
    },
    mark(scope, name, at) {
      const data = { scope, name, at };
      entries.push({ event: "mark", data });
      everybody("mark", data);
    },
    heartbeat: () => everybody("sync", {}),
    raw(text) {
      for (const response of streams) response.write(text);
    },
    trim() {
      trimmedTo = entries.length;
    },
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async stop() {
      const closed = once(server, "close");
      server.close();
      feed.cut();
      await closed;
    },
    async start() {
      server = createServer((request, response) => void answer(request, response));
      server.on("connection", (socket) => {
        sockets.add(socket);
        socket.on("close", () => sockets.delete(socket));
      });
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
      port = (server.address() as AddressInfo).port;
      feed.url = `http://127.0.0.1:${port}`;
    },
    lease: () => newId("lease", clock()),
    token(claims = {}, header = {}) {
      const key = keys.at(-1);
      if (key === undefined) throw new Error("no key");
      const iat = Math.floor(clock() / 1000);
      const payload = {
        iss: feed.url,
        sub: "github:1",
        aud: audience,
        exp: iat + 600,
        iat,
        nbf: iat - 5,
        jti: randomUUID(),
        client_id: "github:1",
        scope: "deploy:write",
        lease_id: feed.lease(),
        task_id: newId("task", clock()),
        grant: "deploy",
        ...claims,
      };
      return signedToken({ alg: "ES256", typ: "at+jwt", kid: key.kid, ...header }, payload, key.privateKey);
    },
    rotate({ drop = false } = {}) {
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const kid = randomUUID();
      if (drop) keys.length = 0;
      keys.push({ kid, privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid, alg: "ES256", use: "sig" } });
      return kid;
    },
    get publicJwk() {
      return keys.at(-1)?.jwk ?? {};
    },
    async [Symbol.asyncDispose]() {
      if (server.listening) await feed.stop();
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", feed.url);
    calls[url.pathname] = (calls[url.pathname] ?? 0) + 1;
    date(response);
    switch (url.pathname) {
      case "/.well-known/openid-configuration":
        return sendKeys(response, {
          issuer: feed.keyFault === "foreign" ? `${feed.url}/` : feed.url,
          jwks_uri: `${feed.url}/.well-known/jwks.json`,
        });
      case "/.well-known/jwks.json":
        return sendKeys(response, { keys: keys.map(({ jwk }) => jwk) });
      case "/oauth2/introspect":
        await body(request);
        if (feed.introspection === "hang") return;
        return feed.introspection === "error" ? end(response, 500, {}) : end(response, 200, { active: feed.introspection });
      case "/v1/feed/seen":
        seen.push(JSON.parse(await body(request)) as SeenAnswer);
        return void response.writeHead(204).end();
      case "/v1/feed/used":
        used.push(JSON.parse(await body(request)) as (typeof used)[number]);
        return void response.writeHead(204).end();
      case "/v1/feed/snapshot":
        return snapshot(response);
      case "/v1/feed":
        return stream(url.searchParams.get("position"), response);
      default:
        return end(response, 404, {});
    }
  }

  function sendKeys(response: ServerResponse, document: Readonly<Record<string, unknown>>): void {
    const listed = "keys" in document;
    switch (feed.keyFault) {
      case "hang":
        return;
      case "error":
        return end(response, 500, {});
      case "html":
        return void response.writeHead(200, { "content-type": "text/html" }).end("<html></html>");
      case "list":
        return end(response, 200, listed ? [document] : document);
      case "huge":
        return end(response, 200, { ...document, filler: "x".repeat(300_000) });
      case "private":
        return end(response, 200, listed ? { keys: [keys.at(-1)?.privateKey.export({ format: "jwk" })] } : document);
      case "empty":
        return end(response, 200, listed ? { keys: [] } : document);
      case "foreign":
      case undefined:
        return end(response, 200, document);
    }
  }

  function refusesAll(response: ServerResponse): boolean {
    if (feed.fault === "unauthorized") end(response, 401, {});
    else if (feed.fault === "error") end(response, 500, {});
    else if (feed.fault === "redirect") response.writeHead(302, { location: "http://127.0.0.1:9/" }).end();
    else return false;
    return true;
  }

  function snapshot(response: ServerResponse): void {
    if (refusesAll(response)) return;
    response.writeHead(200, { "content-type": feed.fault === "wrong-type" ? "text/html" : "application/x-ndjson" });
    const line = (data: object): void => void response.write(`${JSON.stringify(data)}\n`);
    line({
      snapshot: 1,
      position: position(),
      as_of: asOf(),
      issuer: feed.fault === "foreign-snapshot" ? "https://evil.test" : feed.url,
      audience,
    });
    const marks = entries.filter(({ event }) => event === "mark");
    const leases = entries.flatMap(({ data }) => (data["leases"] as unknown[] | undefined) ?? []);
    for (const { data } of marks) line({ mark: data });
    if (feed.fault === "mark-from-the-future") line({ mark: { scope: "all", at: clock() + 86_400_000 } });
    if (leases.length > 0) line({ leases });
    if (feed.fault === "hanging-snapshot") return;
    if (feed.fault !== "truncated-snapshot")
      line({ end: true, leases: leases.length + (feed.fault === "wrong-count" ? 1 : 0), marks: marks.length });
    response.end();
  }

  function stream(from: string | null, response: ServerResponse): void {
    positions.push(from ?? "");
    if (refusesAll(response)) return;
    if (feed.fault === "hanging-stream") return;
    response.writeHead(200, { "content-type": feed.fault === "wrong-type" ? "text/html" : "text/event-stream" });
    if (feed.fault === "garbage") return void response.write(`id: ${position()}\nevent: sync\ndata: [1,2,3]\n\n`);
    if (feed.fault === "not-json") return void response.write(`id: ${position()}\nevent: sync\ndata: {"as_of":\n\n`);
    if (feed.fault === "not-utf8") return void response.write(Buffer.from([0x64, 0xff, 0xfe, 0x0a]));
    if (feed.fault === "endless-line") return flood(response);
    response.write("retry: 1000\n\n");
    const at = Number(
      Buffer.from(from ?? "", "base64url")
        .toString()
        .split(":")[1] ?? "NaN",
    );
    if (feed.fault === "reset-storm" || Number.isNaN(at) || at < trimmedTo || at > entries.length) {
      response.write(`event: reset\ndata: {"as_of":${asOf()}}\n\n`);
    } else {
      for (const [index, entry] of entries.slice(at).entries()) write(response, entry.event, entry.data, at + index + 1);
      if (feed.fault === "mark-from-the-future") write(response, "mark", { scope: "all", at: clock() + 86_400_000 });
      write(response, "sync", {});
    }
    streams.add(response);
    response.on("close", () => streams.delete(response));
  }

  feed.rotate();
  await feed.start();
  return feed;
}

/** A compact JWS with ES256 over exactly these, sound or not. */
export function signedToken(header: object | string, payload: object | string, key: KeyObject): string {
  const part = (value: object | string): string =>
    Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
  const input = `${part(header)}.${part(payload)}`;
  return `${input}.${sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}

function end(response: ServerResponse, status: number, document: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(document));
}

async function body(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request as AsyncIterable<Buffer>) text += chunk.toString();
  return text;
}

/** A line without an end, as fast as it is taken. */
function flood(response: ServerResponse): void {
  const chunk = "x".repeat(65_536);
  const pump = (): void => {
    while (!response.destroyed && response.write(chunk));
    if (!response.destroyed) response.once("drain", pump);
  };
  pump();
}
