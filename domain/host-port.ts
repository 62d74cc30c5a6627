import { isIP } from "node:net";

/** A value, or what is wrong with the text: words of ours only, because the text may be a secret. */
export type Parsed<T> = { readonly value: T } | { readonly wrong: string };

export interface HostPort {
  /** Name or address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `host:port`, `[::1]:8420`; the port may be left out where there is a usual one. */
export function parseHostPort(text: string, usualPort?: number): Parsed<HostPort> {
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text);
  const host = found?.[1] ?? found?.[2];
  if (found === null || host === undefined) return { wrong: "it is not host:port" };
  if (found[1] !== undefined && isIP(found[1]) !== 6) return { wrong: "what stands in brackets is no IPv6 address" };
  const port = found[3] === undefined ? usualPort : Number(found[3]);
  if (port === undefined) return { wrong: "it has no port" };
  if (port > 65_535) return { wrong: "its port is above 65535" };
  return { value: { host, port } };
}
