import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { openAuditTrail, type OpenAuditTrail } from "../../../broker/audit/trail.ts";
import { auditVerifyCommand } from "../../../broker/commands/audit-verify.ts";
import { createBroker, type Broker } from "../../../broker/compose.ts";
import { auditDirectory } from "../../support/audit-files.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";

const MASTER = randomBytes(32);
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** A broker that keeps its trail in `dir`, as the real one does. */
async function brokerOver(redis: TestRedis, dir: string): Promise<{ readonly broker: Broker; readonly trail: OpenAuditTrail }> {
  await writeFile(join(dir, "..", "policy.yaml"), "");
  let trail: OpenAuditTrail | undefined;
  const broker = await createBroker({
    url: "http://127.0.0.1:8420",
    redis: redis.url,
    requireAof: false,
    masterKeys: [MASTER],
    policyPath: join(dir, "..", "policy.yaml"),
    operators: { file: "operators", text: "" },
    log,
    openAudit: (parts) => (trail = openAuditTrail(dir, parts)),
  });
  if (trail === undefined) throw new Error("no trail");
  return { broker, trail };
}

describe("a broker and its audit trail", () => {
  it("does not make a start wait for files that cannot be written just now", async () => {
    await using redis = await startRedis();
    await using directory = await auditDirectory();
    await using broker = (await brokerOver(redis, join(directory.dir, "audit"))).broker;
    const stuck = { ...broker.store.audit, states: () => new Promise<never>(() => undefined) };
    const trail = openAuditTrail(directory.dir, {
      store: { id: broker.store.id, audit: stuck },
      keys: { checkpointKey: () => new Promise<never>(() => undefined), checkpointKeys: async () => [] },
      url: "http://127.0.0.1:8420",
      now: Date.now,
    });
    await expect(trail.exportWaiting(AbortSignal.timeout(10))).resolves.toBeUndefined();
    expect(trail.healthy()).toBe(false);
  });

  it("tell of its whole life, from the first key to the last word, and the trail verifies", async () => {
    await using redis = await startRedis();
    await using directory = await auditDirectory();
    const dir = join(directory.dir, "audit");
    for (const life of [1, 2]) {
      const { broker, trail } = await brokerOver(redis, dir);
      await broker.duties.runOnce();
      expect(trail.status()).toMatchObject({ healthy: true });
      expect((await broker.services.audit.query({ action: "broker.started" }, undefined, 10)).items).toHaveLength(life);
      expect((await broker.services.audit.query({ action: "key.added" }, undefined, 10)).items).toHaveLength(3);
      expect(await broker.services.hold.show()).toMatchObject({ held: false });
      await broker.drain();
    }
    const { code, text } = await auditVerifyCommand([dir]);
    expect(code).toBe(0);
    expect(text).toContain("nothing was changed, taken out or moved");
  });

  it("hold it back when its store is an empty one, and let it go on when an admin says so", async () => {
    await using redis = await startRedis();
    await using directory = await auditDirectory();
    const dir = join(directory.dir, "audit");
    const before = await brokerOver(redis, dir);
    await before.broker.duties.runOnce();
    await before.broker.drain();
    const client = redis.client();
    await client.flushall();

    const { broker, trail } = await brokerOver(redis, dir);
    expect(await broker.services.hold.show()).toMatchObject({ held: true, reason: expect.stringContaining("another store") });
    const origin = { ip: "127.0.0.1", traceId: "a".repeat(32), route: "DELETE /v1/hold" };
    expect(await broker.services.hold.clear({ name: "ada", role: "admin" }, "redis was lost", origin)).toMatchObject({ held: false });
    await broker.duties.runOnce();
    expect(trail.status()).toMatchObject({ healthy: true });
    const cleared = await broker.services.audit.query({ action: "hold.cleared" }, undefined, 10);
    expect(cleared.items).toMatchObject([{ principal: "operator:ada", reason: "redis was lost" }]);
    expect((await broker.services.audit.query({ action: "hold.set" }, undefined, 100)).items.length).toBeGreaterThan(0);
    await broker.drain();
    const { code, text } = await auditVerifyCommand([dir]);
    expect({ code, text }).toMatchObject({ code: 0, text: expect.stringContaining("operator:ada let the files go on from store") });
  });

  it("hold it back when its store has lost a single record, and keep every record of what came after", async () => {
    await using redis = await startRedis();
    await using directory = await auditDirectory();
    const dir = join(directory.dir, "audit");
    const before = await brokerOver(redis, dir);
    await before.broker.duties.runOnce();
    await before.broker.drain();
    const client = redis.client();
    // As after a power cut that took the last second of the append-only file.
    expect(await client.hincrby("stint:{b00}", "seq", -1)).toBeGreaterThan(0);
    await client.del("stint:{b00}:au");

    const { broker, trail } = await brokerOver(redis, dir);
    expect(await broker.services.hold.show()).toMatchObject({ held: true });
    await broker.duties.runOnce();
    expect(trail.status()).toMatchObject({ healthy: false, reason: expect.stringContaining("on hold") });
    const origin = { ip: "127.0.0.1", traceId: "a".repeat(32), route: "DELETE /v1/hold" };
    expect(await broker.services.hold.clear({ name: "ada", role: "admin" }, "lost a second", origin)).toMatchObject({ held: false });
    await broker.duties.runOnce();
    await broker.duties.runOnce();
    expect(trail.status()).toMatchObject({ healthy: true });
    // One for the hold, one for the mark in each bucket.
    expect((await broker.services.audit.query({ action: "hold.set" }, undefined, 100)).items).toHaveLength(65);
    await broker.drain();
    expect((await auditVerifyCommand([dir])).code).toBe(0);
  });
});
