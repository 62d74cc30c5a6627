import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { type IncomingMessage, type RequestOptions, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { type LookupFunction, isIP } from "node:net";
import { type AddressKind, addressKind } from "./addresses.ts";

/** What a trust allows of the way to its provider. */
export interface Reach {
  readonly privateNetwork: boolean;
  readonly insecureHttp: boolean;
  readonly caFile: string | undefined;
  readonly bearerFile: string | undefined;
}

/** An address a name stands for. */
export interface Address {
  readonly address: string;
  readonly family: number;
}

/** What may be set for the door as a whole; tests bring a resolver and a shorter limit. */
export interface OutsideOptions {
  /** For the whole exchange, names included. */
  readonly timeoutMs?: number;
  readonly resolve?: (host: string) => Promise<readonly Address[]>;
}

/** Why nothing came back; for the log, never for a caller. */
export class OutsideError extends Error {
  override readonly name: string = "OutsideError";
}

export const OUTSIDE_TIMEOUT_MS = 5_000;
export const MAX_OUTSIDE_BYTES = 262_144;
const MAX_SECRET_BYTES = 16_384;

/**
 * The one door to HTTP outside: GET, https (http to loopback only, where the trust says so), no redirects, no proxies, no credentials
 * in the URL, at most 256 KiB, within 5 s in all. The name is resolved once, every address must be allowed, and the connection
 * goes to an address that was checked. Throws `OutsideError`. STANDARDS section 5.3, row 7.
 */
export async function fetchOutside(target: string, reach: Reach, options: OutsideOptions = {}): Promise<string> {
  const url = checkUrl(target, reach);
  const signal = AbortSignal.timeout(Math.ceil(options.timeoutMs ?? OUTSIDE_TIMEOUT_MS));
  try {
    const addresses = await orAborted(resolveChecked(url, reach, options.resolve), signal);
    const headers: Record<string, string> = { accept: "application/json", "accept-encoding": "identity", "user-agent": "stint" };
    if (reach.bearerFile !== undefined) headers["authorization"] = `Bearer ${await readSecret(reach.bearerFile)}`;
    const ca = reach.caFile === undefined ? undefined : await readFile(reach.caFile);
    return await get(url, { headers, signal, lookup: pinned(addresses), ...(ca && { ca }) });
  } catch (error) {
    if (error instanceof OutsideError) throw error;
    throw new OutsideError(signal.aborted ? "took too long" : `failed: ${messageOf(error)}`, { cause: error });
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

async function resolveChecked(url: URL, reach: Reach, resolve: OutsideOptions["resolve"]): Promise<readonly Address[]> {
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
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(new OutsideError("took too long")), { once: true });
  });
  return Promise.race([work, aborted]);
}

function get(url: URL, options: RequestOptions & { readonly ca?: Buffer }): Promise<string> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === "https:" ? requestHttps : requestHttp;
    // A connection of its own: a kept one would outlive the check of its address.
    const request = send(url, { ...options, method: "GET", agent: false, maxHeaderSize: 16_384 }, (response) => {
      readBody(response)
        .finally(() => request.destroy())
        .then(resolve, reject);
    });
    request.on("error", reject);
    request.end();
  });
}

async function readBody(response: IncomingMessage): Promise<string> {
  if (response.statusCode !== 200) throw new OutsideError(`answered with status ${response.statusCode ?? 0}`);
  if ((response.headers["content-encoding"] ?? "identity") !== "identity")
    throw new OutsideError("answered with an encoding nobody asked for");
  if (Number(response.headers["content-length"] ?? 0) > MAX_OUTSIDE_BYTES) throw new OutsideError("answered with too much");
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_OUTSIDE_BYTES) throw new OutsideError("answered with too much");
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

async function readSecret(path: string): Promise<string> {
  const text = (await readFile(path, "utf8")).trim();
  if (text === "" || text.length > MAX_SECRET_BYTES || !/^[\x21-\x7e]+$/.test(text))
    throw new OutsideError("has a bearer file without a usable token");
  return text;
}

/** The code where there is one: it says as much and is stable. */
function messageOf(error: unknown): string {
  if (typeof error !== "object" || error === null) return String(error);
  return "code" in error && typeof error.code === "string" ? error.code : "message" in error ? String(error.message) : "unknown";
}
