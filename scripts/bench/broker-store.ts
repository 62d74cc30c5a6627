import { Redis } from "ioredis";
import { startCluster } from "../../test/support/cluster.ts";
import type { ServerProcess } from "../../test/support/redis.ts";
import { startSentinel } from "../../test/support/sentinel.ts";
import { appendOnly, cpuMsOfRedis, pinRedis, type BenchRedis } from "./redis.ts";
import type { BenchOptions } from "./options.ts";

/** Where the broker keeps its leases while it is measured; floor and peers have one Redis whatever this is. */
export interface BrokerStore extends AsyncDisposable {
  readonly url: string;
  /** CPU of all its servers, replicas too, in milliseconds. */
  cpuMs(): Promise<number>;
}

/** `single` is the floor's own Redis; the others are started here, and an answer of theirs waits for a replica. */
export async function openBrokerStore(options: Pick<BenchOptions, "store" | "fsync">, redis: BenchRedis): Promise<BrokerStore> {
  const args = appendOnly(options.fsync);
  switch (options.store) {
    case "single":
      return { url: redis.url, cpuMs: async () => 0, [Symbol.asyncDispose]: async () => undefined };
    case "sentinel": {
      const started = await startSentinel({ args });
      return storeOn(started.url, [started.primary, ...started.replicas], started);
    }
    case "cluster": {
      const started = await startCluster({ replicas: 1, args });
      return storeOn(started.url, [...started.nodes, ...started.replicas.flat()], started);
    }
  }
}

async function storeOn(url: string, servers: readonly ServerProcess[], started: AsyncDisposable): Promise<BrokerStore> {
  const clients = servers.map(({ port }) => new Redis({ host: "127.0.0.1", port }));
  await Promise.all(clients.map(pinRedis));
  return {
    url,
    cpuMs: async () => (await Promise.all(clients.map((client) => cpuMsOfRedis(client)))).reduce((sum, ms) => sum + ms, 0),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.disconnect();
      await started[Symbol.asyncDispose]();
    },
  };
}
