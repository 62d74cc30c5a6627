import { isIP } from "node:net";
import type { HostPort, Parsed } from "../../domain/host-port.ts";

const DEFAULT_PORTS: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };
const PROXY_WORDS = new Set(["loopback", "linklocal", "uniquelocal"]);
const FLAGS = new Map([
  ...["1", "on", "true", "yes"].map((word) => [word, true] as const),
  ...["0", "off", "false", "no"].map((word) => [word, false] as const),
]);

/** `127.0.0.0/8`, `::1`, `localhost` and names below it. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "").toLowerCase();
  return bare === "localhost" || bare.endsWith(".localhost") || bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}

/** An issuer identifier: an origin, byte for byte as clients will compare it (RFC 8414 section 2). */
export function parseOrigin(text: string): Parsed<string> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) return { wrong: "it is no URL" };
  if (url.protocol !== "https:" && url.protocol !== "http:") return { wrong: "its scheme is neither https nor http" };
  if (url.username !== "" || url.password !== "") return { wrong: "it holds a user or a password" };
  if (text.endsWith("/")) return { wrong: "it ends in a slash" };
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") return { wrong: "it has a path, a query or a fragment" };
  if (url.protocol === "http:" && !isLoopback(url.hostname)) return { wrong: "http is for loopback only" };
  if (url.origin !== text) return { wrong: "it is not in its normal form (lower case, no default port)" };
  return { value: text };
}

/** Where an origin's host and port are. */
export function hostPortOf(origin: string): HostPort {
  const url = new URL(origin);
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port === "" ? (DEFAULT_PORTS[url.protocol] ?? 0) : Number(url.port) };
}

/** Addresses, CIDR ranges, or `loopback`, `linklocal`, `uniquelocal`; comma-separated. */
export function parseProxies(text: string): Parsed<readonly string[]> {
  const parts = text.split(",").map((part) => part.trim());
  for (const [index, part] of parts.entries()) {
    const [address = "", bits, ...more] = part.split("/");
    const version = isIP(address);
    const bitsFit = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
    const range = version !== 0 && more.length === 0 && bitsFit;
    if (!PROXY_WORDS.has(part) && !range) return { wrong: `entry ${index + 1} is neither an address nor a range` };
    if (bits === "0") return { wrong: `entry ${index + 1} would believe everybody` };
  }
  return { value: parts };
}

export function parseFlag(text: string): Parsed<boolean> {
  const value = FLAGS.get(text.toLowerCase());
  return value === undefined ? { wrong: "it is neither" } : { value };
}

/** 32 bytes in base64 each, comma-separated; the first one seals. Returned as given, once every one was checked. */
export function parseMasterKeys(text: string): Parsed<string> {
  const keys = text.split(",").map((key) => key.trim());
  for (const [index, key] of keys.entries()) {
    const bytes = /^[A-Za-z0-9+/]{43}=?$/.test(key) ? Buffer.from(key, "base64").length : 0;
    if (bytes !== 32) return { wrong: `key ${index + 1} of ${keys.length} is not 32 bytes of base64` };
  }
  return { value: keys.join(",") };
}

/** A count, or `auto` for one per core. */
export function parseWorkers(text: string): Parsed<number | "auto"> {
  if (text === "auto") return { value: "auto" };
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  return count >= 1 && count <= 256 ? { value: count } : { wrong: "it is neither" };
}
