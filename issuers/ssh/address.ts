import { isIP } from "node:net";

/**
 * A network as sshd reads it in `source-address`, in one form: `10.1.2.0/24`, `2001:db8::/32`; an address alone becomes its /32 or
 * /128. What sshd would refuse (and with it every login) is refused here: bits behind the prefix, zones, IPv4 within IPv6.
 */
export function sourceNetwork(text: string): { readonly network: string } | { readonly wrong: string } {
  const [, address = "", written] = /^([0-9a-f.:]{2,45})(?:\/(\d{1,3}))?$/i.exec(text) ?? [];
  const family = isIP(address);
  if (family === 0) return { wrong: "must be an address or a network such as 10.1.2.0/24 or 2001:db8::/32" };
  if (family === 6 && address.includes("."))
    return { wrong: "must be written as an IPv4 network: sshd sees such clients by their IPv4 address" };
  const length = family === 4 ? 32 : 128;
  const prefix = written === undefined ? length : Number(written);
  if (prefix > length) return { wrong: `must have a prefix of at most ${length} bits` };
  const bits = family === 4 ? bits4(address) : bits6(address);
  const hidden = BigInt(length - prefix);
  if ((bits >> hidden) << hidden !== bits) return { wrong: `has bits behind its prefix of ${prefix}, which sshd refuses` };
  return { network: `${address.toLowerCase()}/${prefix}` };
}

const bits4 = (address: string): bigint => address.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);

function bits6(address: string): bigint {
  const [head = "", tail] = address.split("::");
  const groups = (text: string): readonly string[] => (text === "" ? [] : text.split(":"));
  const [first, last] = [groups(head), groups(tail ?? "")];
  const between = Array.from({ length: 8 - first.length - last.length }, () => "0");
  return [...first, ...between, ...last].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}
