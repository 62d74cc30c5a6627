import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { origin, startBroker } from "../support/broker.ts";
import { fakeClock } from "../support/clock.ts";
import { openShop, shopDocuments } from "../support/shop.ts";

const admin = { name: "ada", role: "admin" } as const;

describe("a store that was emptied beside its audit files", () => {
  it("is noticed by the next broker, and used again once an admin has said why", async () => {
    const clock = fakeClock();
    const auditDir = await mkdtemp(join(tmpdir(), "stint-restore-"));
    await using shop = await openShop({ auditDir, clock });
    await shop.exchange();
    await shop.broker.duties.runOnce();
    expect((await shop.broker.services.audit.query({ action: "lease.issued" }, undefined, 10)).items).toHaveLength(1);
    await shop.broker.abandon();

    const wipe = shop.broker.redis.client();
    await wipe.flushall();
    await wipe.quit();
    await using next = await startBroker({
      clock,
      redis: shop.broker.redis,
      masterKey: shop.broker.masterKey,
      url: shop.broker.url,
      auditDir,
      documents: (url) => shopDocuments(shop.idp, url),
    });
    const ask = async () =>
      next.services.requests.exchange({
        evidence: await shop.evidence(),
        grant: "deploy",
        scope: [],
        ttlMs: undefined,
        purpose: "",
        environment: "",
        resource: "",
        audiences: [],
        idempotency: undefined,
        origin: origin(),
      });
    expect(await next.services.hold.show()).toMatchObject({ held: true, reason: "the audit files were written from another store" });
    await expect(ask()).rejects.toMatchObject({ code: expect.stringMatching(/on_hold|audit_unavailable/) });
    await next.services.hold.clear(admin, "a new Redis, on purpose", origin());
    clock.advance({ seconds: 3 });
    await next.duties.runOnce();
    expect(await ask()).toMatchObject({ grant: "deploy" });
    await next.duties.runOnce();
    expect(next.services.readiness()).toMatchObject({ ready: true });
    expect((await next.services.audit.query({ action: "hold.cleared" }, undefined, 10)).items).toMatchObject([
      { principal: "operator:ada", reason: "a new Redis, on purpose" },
    ]);
    await rm(auditDir, { recursive: true, force: true });
  });
});
