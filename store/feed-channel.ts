import { Cluster } from "ioredis";
import type { FeedEntry, FeedHint, MarkScope } from "./api.ts";
import type { RedisClient } from "./connect.ts";

/** Where scripts say that something was added to the feed. Channels reach across the databases of a Redis, stores do not. */
export function feedChannel(client: RedisClient): string {
  const database = client instanceof Cluster ? 0 : (client.options.db ?? 0);
  return database === 0 ? "stint:feed" : `stint:feed:${database}`;
}

/** Reads what a script published: `[bucket in hexadecimal, number, ...fields]`, the latter two where one entry came alone. */
export function readHint(message: string): FeedHint | undefined {
  let said: unknown;
  try {
    said = JSON.parse(message);
  } catch {
    return undefined;
  }
  if (!Array.isArray(said)) return undefined;
  const [bucket = "", number, ...fields] = said.map(String);
  if (!/^[0-3][0-9a-f]$/.test(bucket)) return undefined;
  const where = Number.parseInt(bucket, 16);
  return number === undefined ? { bucket: where } : { bucket: where, next: { number: Number(number), entry: readEntry(fields) } };
}

/** An entry as it stands in the stream: `[kind, name, "t", instant, "g", grant]`. */
export function readEntry([kind, name = "", , instant, , grant = ""]: readonly string[]): FeedEntry {
  return kind === "m" ? { kind: "mark", scope: scopeOf(name), at: Number(instant) } : leaseEntry(name, grant, Number(instant));
}

export const leaseEntry = (bareId: string, grant: string, expiresAt: number): FeedEntry => ({
  kind: "lease",
  lease: `lease_${bareId}`,
  grant,
  expiresAt,
});

/** Reads a mark's field back: `all`, or `kind:name`. */
export function scopeOf(field: string): MarkScope {
  if (field === "all") return { kind: "all" };
  const colon = field.indexOf(":");
  return { kind: field.slice(0, colon) as "workload" | "grant" | "issuer" | "trust" | "key", name: field.slice(colon + 1) };
}
