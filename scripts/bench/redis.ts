import type { Redis } from "ioredis";
import { startRedis, type TestRedis } from "../../test/support/redis.ts";
import { OTHER_CORE, pin } from "./children.ts";
import type { BenchOptions } from "./options.ts";

/** A private Redis for one benchmark, on the core that the servers under test do not have. */
export interface BenchRedis extends AsyncDisposable {
  readonly url: string;
  readonly client: Redis;
  readonly version: string;
  /** CPU it has used, in milliseconds. */
  cpuMs(): Promise<number>;
  usedMemory(): Promise<number>;
}

export async function openRedis(fsync: BenchOptions["fsync"]): Promise<BenchRedis> {
  const redis: TestRedis = await startRedis({ args: appendOnly(fsync) });
  const client = redis.client();
  const server = await pinRedis(client);
  return {
    url: redis.url,
    client,
    version: versionOf(server),
    cpuMs: () => cpuMsOfRedis(client),
    async usedMemory() {
      return Number(field(await client.info("memory"), "used_memory"));
    },
    [Symbol.asyncDispose]: () => redis.stop(),
  };
}

/** The arguments of a server with that durability. */
export const appendOnly = (fsync: BenchOptions["fsync"]): string[] =>
  fsync === "off" ? [] : ["--appendonly", "yes", "--appendfsync", fsync];

/** Moves a server to the core that the programs under test do not have; answers what it says of itself. */
export async function pinRedis(client: Redis): Promise<string> {
  const server = await client.info("server");
  pin(Number(field(server, "process_id")), OTHER_CORE);
  return server;
}

/** CPU that a server has used, in milliseconds. */
export async function cpuMsOfRedis(client: Redis): Promise<number> {
  const cpu = await client.info("cpu");
  return (Number(field(cpu, "used_cpu_user")) + Number(field(cpu, "used_cpu_sys"))) * 1000;
}

/** Valkey says first which Redis it is like. */
function versionOf(info: string): string {
  const valkey = field(info, "valkey_version");
  return valkey === "" ? field(info, "redis_version") : `${valkey} (Valkey)`;
}

const field = (info: string, name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1] ?? "";
