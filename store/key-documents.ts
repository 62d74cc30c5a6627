import type { Cluster, Redis } from "ioredis";
import { StintError } from "../domain/errors.ts";

/** Where the signing keys are kept: one document with a version, read and swapped as a whole. */
export interface KeyDocuments {
  read(): Promise<{ readonly version: number; readonly text: string } | undefined>;
  /** Stores the document if `version` is still the one in force (0: there is none yet). One script. */
  write(version: number, text: string): Promise<"stored" | "changed">;
}

/** Signing keys belong to no bucket: they have a hash tag of their own. */
const KEY = "stint:{keys}:set";

// KEYS  the set of keys (HASH: version, doc)
// ARGV  the version the writer has read, the new document
// REPLY stored | changed
const STORE_KEYS = `
local version = redis.call("HGET", KEYS[1], "version") or "0"
if version ~= ARGV[1] then return "changed" end
redis.call("HSET", KEYS[1], "version", tostring(tonumber(version) + 1), "doc", ARGV[2])
return "stored"
`;

type Keep = <T>(key: string, send: (client: Redis | Cluster) => Promise<T>) => Promise<T>;

/** Signing keys in Redis. Throws `store_unavailable` when it cannot be reached. `keep` answers once replicas have what was written. */
export function redisKeyDocuments(redis: Redis | Cluster, keep: Keep = (_key, send) => send(redis)): KeyDocuments {
  return {
    async read() {
      const [version, text] = await reached(redis.hmget(KEY, "version", "doc"));
      return typeof version === "string" && typeof text === "string" ? { version: Number(version), text } : undefined;
    },
    async write(version, text) {
      const reply = await reached(keep(KEY, (client) => client.eval(STORE_KEYS, 1, KEY, String(version), text)));
      if (reply === "stored" || reply === "changed") return reply;
      throw new StintError("server_error", "The store answered what it should not when signing keys were written.");
    },
  };
}

async function reached<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (cause) {
    throw new StintError(
      "store_unavailable",
      "The store could not be reached for the signing keys. Try again.",
      { retryAfterSeconds: 1 },
      { cause },
    );
  }
}
