import { lookup } from "node:dns/promises";
import { type IncomingHttpHeaders, type IncomingMessage, type RequestOptions, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { type LookupFunction, isIP, type Socket } from "node:net";
import { type AddressKind, addressKind } from "./addresses.ts";

/** What the operator allows of the way to an address that is written in the configuration. */
export interface Reach {
  /** Its addresses may be private or loopback (https). */
  readonly privateNetwork: boolean;
  /** Plain http, to loopback only. */
  readonly insecureHttp: boolean;
  /** The authority to believe instead of the system's, PEM. */
  readonly ca?: string | Buffer | undefined;
}

/** An address a name stands for. */
export interface Address {
  readonly address: string;
  readonly family: number;
}

export interface OutsideRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For the whole exchange, names included. */
  readonly timeoutMs: number;
  /** Bytes of the answer's body that are taken; one more is an error. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
  /** Instead of the system's resolver; for tests. */
  readonly resolve?: ((host: string) => Promise<readonly Address[]>) | undefined;
}

export interface OutsideAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Why nothing came back; for the log, never for a caller. */
export class OutsideError extends Error {
  override readonly name: string = "OutsideError";
  /** False when nothing of the request can have arrived: no connection ever stood. */
  readonly sent: boolean;
  constructor(message: string, options: ErrorOptions & { readonly sent?: boolean } = {}) {
    super(message, options);
    this.sent = options.sent ?? false;
  }
}

/**
 * The one door to HTTP outside: https (http to loopback only, where the reach says so), no redirects, no proxies, no credentials
 * in the URL, a bounded answer within a bounded time. The name is resolved once, every address must be allowed, and the connection
 * goes to an address that was checked. Any status is an answer. Throws `OutsideError`.
 */
export async function requestOutside(target: string, reach: Reach, ask: OutsideRequest): Promise<OutsideAnswer> {
  const url = checkUrl(target, reach);
  const limit = AbortSignal.timeout(Math.ceil(ask.timeoutMs));
  const signal = ask.signal === undefined ? limit : AbortSignal.any([limit, ask.signal]);
  const progress = { sent: false };
  try {
    const addresses = await orAborted(resolveChecked(url, reach, ask.resolve), signal);
    const headers = { "accept-encoding": "identity", "user-agent": "stint", ...ask.headers };
    return await exchange(url, { method: ask.method, headers, signal, lookup: pinned(addresses), ca: reach.ca }, ask, progress);
  } catch (error) {
    if (error instanceof OutsideError) throw new OutsideError(error.message, { cause: error.cause, sent: progress.sent });
    const message = signal.aborted ? "took too long" : `failed: ${messageOf(error)}`;
    throw new OutsideError(message, { cause: error, sent: progress.sent });
  }
}

/** Checks scheme and form; the loader may call it to find mistakes early. */
export function checkUrl(target: string, reach: Pick<Reach, "insecureHttp">): URL {
  if (target.length > 2048 || !URL.canParse(target)) throw new OutsideError("is not a URL");
  const url = new URL(target);
  if (url.username !== "" || url.password !== "") throw new OutsideError("has credentials in its URL");
  if (url.protocol !== "https:" && !(url.protocol === "http:" && reach.insecureHttp)) throw new OutsideError("is not https");
  return url;
}

async function resolveChecked(url: URL, reach: Reach, resolve: OutsideRequest["resolve"]): Promise<readonly Address[]> {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const family = isIP(host);
  // The URL parser has turned odd spellings (0x7f.1, 2130706433) into plain addresses.
  const addresses = family !== 0 ? [{ address: host, family }] : await (resolve?.(host) ?? lookup(host, { all: true, verbatim: true }));
  if (addresses.length === 0) throw new OutsideError("has no address");
  for (const { address } of addresses) {
    if (!mayReach(addressKind(address), url.protocol, reach)) throw new OutsideError("leads to an address that is not allowed");
  }
  return addresses;
}

function mayReach(kind: AddressKind, protocol: string, reach: Reach): boolean {
  if (protocol === "http:") return kind === "loopback";
  return kind === "public" || (reach.privateNetwork && kind !== "forbidden");
}

/** Answers every look-up with what was checked, so that a name which changes meanwhile leads nowhere else. */
function pinned(addresses: readonly Address[]): LookupFunction {
  return (_host, options, done) => {
    if (options.all) return done(null, [...addresses]);
    const [first] = addresses;
    return done(null, first?.address ?? "", first?.family ?? 4);
  };
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw new OutsideError("took too long");
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(new OutsideError("took too long")), { once: true });
  });
  return Promise.race([work, aborted]);
}

function exchange(
  url: URL,
  options: RequestOptions & Pick<Reach, "ca">,
  ask: OutsideRequest,
  progress: { sent: boolean },
): Promise<OutsideAnswer> {
  return new Promise((resolve, reject) => {
    const secure = url.protocol === "https:";
    // A connection of its own: a kept one would outlive the check of its address.
    const request = (secure ? requestHttps : requestHttp)(url, { ...options, agent: false, maxHeaderSize: 16_384 }, (response) => {
      readBody(response, ask.maxBytes)
        .finally(() => request.destroy())
        .then((body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }), reject);
    });
    request.on("socket", (socket: Socket) => void socket.once(secure ? "secureConnect" : "connect", () => void (progress.sent = true)));
    request.on("error", reject);
    if (ask.body === undefined) request.end();
    else request.setHeader("content-length", Buffer.byteLength(ask.body)).end(ask.body);
  });
}

async function readBody(response: IncomingMessage, maxBytes: number): Promise<string> {
  const status = response.statusCode ?? 0;
  if ((response.headers["content-encoding"] ?? "identity") !== "identity")
    throw new OutsideError("answered with an encoding nobody asked for");
  // What a redirect or a server's page of excuses says is nobody's business.
  if (status >= 300 && status < 400) return "";
  if (Number(response.headers["content-length"] ?? 0) > maxBytes) throw new OutsideError("answered with too much");
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new OutsideError("answered with too much");
    chunks.push(chunk);
  }
  return decodeUtf8(Buffer.concat(chunks));
}

function decodeUtf8(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new OutsideError("answered with something that is not UTF-8");
  }
}

/** The code where there is one: it says as much and is stable. */
function messageOf(error: unknown): string {
  if (typeof error !== "object" || error === null) return String(error);
  return "code" in error && typeof error.code === "string" ? error.code : "message" in error ? String(error.message) : "unknown";
}
