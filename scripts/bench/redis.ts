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
  const args = fsync === "off" ? [] : ["--appendonly", "yes", "--appendfsync", fsync];
  const redis: TestRedis = await startRedis({ args });
  const client = redis.client();
  const server = await client.info("server");
  pin(Number(field(server, "process_id")), OTHER_CORE);
  return {
    url: redis.url,
    client,
    version: field(server, "redis_version"),
    async cpuMs() {
      const cpu = await client.info("cpu");
      return (Number(field(cpu, "used_cpu_user")) + Number(field(cpu, "used_cpu_sys"))) * 1000;
    },
    async usedMemory() {
      return Number(field(await client.info("memory"), "used_memory"));
    },
    [Symbol.asyncDispose]: () => redis.stop(),
  };
}

const field = (info: string, name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1] ?? "";
