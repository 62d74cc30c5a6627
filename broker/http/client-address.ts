import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";

/** Tells the address a request came from. */
export type ClientAddress = (request: IncomingMessage) => string;

/**
 * Believes `X-Forwarded-For` only from the proxies listed (addresses or CIDR ranges), and then only as far as they wrote it:
 * from the right, the first address that is no proxy of ours. Throws TypeError for an entry that is no address.
 */
export function clientAddress(trustedProxies: readonly string[]): ClientAddress {
  const isProxy = proxyList(trustedProxies);
  return (request) => {
    const peer = peerOf(request);
    if (trustedProxies.length === 0 || !isProxy(peer)) return peer;
    const header = request.headers["x-forwarded-for"];
    const hops = (typeof header === "string" ? header : "")
      .split(",")
      .slice(-32)
      .map((hop) => plain(hop.trim()));
    for (const hop of hops.toReversed()) {
      // what is no address was not written by a proxy of ours: go no further
      if (isIP(hop) === 0) return peer;
      if (!isProxy(hop)) return hop;
    }
    return peer;
  };
}

/** Whether a request came straight from one of our proxies. Throws TypeError for an entry that is no address. */
export function trustedPeer(trustedProxies: readonly string[]): (request: IncomingMessage) => boolean {
  const isProxy = proxyList(trustedProxies);
  return (request) => isProxy(peerOf(request));
}

/** Whether an address is one of our proxies (addresses or CIDR ranges). Throws TypeError for an entry that is no address. */
export function proxyList(trustedProxies: readonly string[]): (address: string) => boolean {
  if (trustedProxies.length === 0) return () => false;
  const proxies = new BlockList();
  for (const entry of trustedProxies) addProxy(proxies, entry);
  return (address) => isIP(address) !== 0 && proxies.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

/** Who is at the other end of the connection itself. */
export const peerOf = (request: IncomingMessage): string => plain(request.socket.remoteAddress ?? "");

function addProxy(proxies: BlockList, entry: string): void {
  const [address = "", bits] = entry.split("/");
  const family = isIP(address);
  if (family === 0) throw new TypeError(`${entry} is no address`);
  const type = family === 6 ? "ipv6" : "ipv4";
  if (bits === undefined) proxies.addAddress(address, type);
  else proxies.addSubnet(address, Number(bits), type);
}

/** `::ffff:192.0.2.1` is 192.0.2.1. */
const plain = (address: string): string => (address.startsWith("::ffff:") && isIP(address.slice(7)) === 4 ? address.slice(7) : address);
