import { BlockList, isIP } from "node:net";

/** Where an address leads: the open internet, an inner network, or a place nobody has business with. */
export type AddressKind = "public" | "loopback" | "private" | "forbidden";

function blocks(v4: readonly string[], v6: readonly string[]): BlockList {
  const list = new BlockList();
  for (const [family, ranges] of [
    ["ipv4", v4],
    ["ipv6", v6],
  ] as const) {
    for (const range of ranges) {
      const [net = "", prefix = "0"] = range.split("/");
      list.addSubnet(net, Number(prefix), family);
    }
  }
  return list;
}

const LOOPBACK = blocks(["127.0.0.0/8"], ["::1/128"]);
/** RFC 1918, RFC 6598 (carrier-grade NAT), RFC 4193. */
const PRIVATE = blocks(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"], ["fc00::/7"]);
/** "This network", link-local with the clouds' metadata services, documentation, benchmarks, multicast, reserved. RFC 6890. */
const FORBIDDEN = blocks(
  [
    "0.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "100.100.100.200/32",
    "168.63.129.16/32",
  ],
  // the last is a cloud's metadata service inside fc00::/7
  ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "fd00:ec2::/32"],
);
const GLOBAL_V6 = blocks([], ["2000::/3"]);
const MAPPED = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i;

/** What kind of address this is. IPv4 inside IPv6 (`::ffff:`) counts as the IPv4 it is; other embeddings are forbidden. */
export function addressKind(address: string): AddressKind {
  const family = isIP(address);
  if (family === 0 || address.includes("%")) return "forbidden";
  if (family === 6) {
    const mapped = MAPPED.exec(address);
    if (mapped) return addressKind(mapped[1] ?? dotted(mapped[2] ?? "", mapped[3] ?? ""));
  }
  const type = family === 4 ? "ipv4" : "ipv6";
  if (FORBIDDEN.check(address, type)) return "forbidden";
  if (LOOPBACK.check(address, type)) return "loopback";
  if (PRIVATE.check(address, type)) return "private";
  // Whatever is not global unicast (link-local, multicast, NAT64, long forms of mapped addresses) is nowhere we go.
  if (family === 6 && !GLOBAL_V6.check(address, "ipv6")) return "forbidden";
  return "public";
}

function dotted(high: string, low: string): string {
  const bits = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => Math.floor(bits / 2 ** shift) % 256).join(".");
}
