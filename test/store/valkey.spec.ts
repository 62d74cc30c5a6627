import { expect } from "@jest/globals";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { startEmbeddedRedis } from "../../store/embedded/launch.ts";
import { storeContract } from "../contract/store-contract.ts";
import { startCluster } from "../support/cluster.ts";
import { specsIf } from "../support/needs.ts";
import { startRedis, useServer } from "../support/redis.ts";
import { startSentinel } from "../support/sentinel.ts";
import { findValkey } from "../support/valkey.ts";

const valkey = await findValkey();
const specs = specsIf(valkey !== undefined, "there is no valkey-server here, and none could be fetched");

specs.describe("Valkey", () => {
  if (valkey !== undefined) useServer(valkey);
  storeContract("one Valkey", () => startRedis());
  storeContract("a Cluster of three primaries with a replica each", () => startCluster({ replicas: 1 }));
  storeContract("a primary with replicas behind Sentinel", () => startSentinel());

  specs.it("is what these stores were asked of", async () => {
    await using redis = await startRedis();
    expect(await redis.client().info("server")).toContain("server_name:valkey");
  });

  specs.it("is what a broker runs as its child where there is no Redis", async () => {
    const folder = await mkdtemp(join(tmpdir(), "stint-data-"));
    const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
    try {
      await symlink(valkey ?? "", join(folder, "valkey-server")); // a Redis may lie beside the one that was found
      await using server = await startEmbeddedRedis({ dataDir: join(folder, "data"), log: quiet, searchPath: folder });
      const client = new Redis({ path: server.socketPath });
      expect(await client.info("server")).toContain("server_name:valkey");
      client.disconnect();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
