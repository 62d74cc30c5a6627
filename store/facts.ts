import type { Redis } from "ioredis";
import { StintError } from "../domain/errors.ts";
import type { StoreFacts } from "./api.ts";
import type { Connection } from "./connect.ts";
import { replicasToKeep } from "./replicas.ts";

/** Looks at every primary; the worst of them counts. Managed services may refuse CONFIG: then INFO has to do. */
export async function findFacts(connection: Connection): Promise<Omit<StoreFacts, "aofRequired">> {
  const [replicas, ...all] = await Promise.all([replicasToKeep(connection), ...connection.primaries().map((node) => factsOf(node))]);
  const [first] = all;
  if (first === undefined) throw new StintError("store_unavailable", "Redis has no primary");
  return {
    mode: connection.mode,
    replicas,
    version: first.version,
    aof: all.every((facts) => facts.aof),
    fsync: all.find((facts) => facts.fsync !== "always")?.fsync ?? first.fsync,
    evictionPolicy: all.find((facts) => facts.evictionPolicy !== "noeviction")?.evictionPolicy ?? first.evictionPolicy,
  };
}

async function factsOf(node: Redis): Promise<Pick<StoreFacts, "version" | "aof" | "fsync" | "evictionPolicy">> {
  const info = await node.info();
  const line = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1] ?? "";
  return {
    version: line("redis_version"),
    aof: line("aof_enabled") === "1",
    fsync: await configOf(node, "appendfsync", "unknown"),
    evictionPolicy: line("maxmemory_policy") || (await configOf(node, "maxmemory-policy", "unknown")),
  };
}

async function configOf(node: Redis, name: string, otherwise: string): Promise<string> {
  try {
    const reply: unknown = await node.config("GET", name);
    return Array.isArray(reply) && typeof reply[1] === "string" ? reply[1] : otherwise;
  } catch {
    return otherwise;
  }
}
