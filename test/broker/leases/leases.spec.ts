import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import type { IssuedCredential, RenewedCredential } from "../../../broker/services.ts";
import { RetryableFailure } from "../../../domain/credential.ts";
import { Secret } from "../../../domain/secret.ts";
import { origin } from "../../support/broker.ts";
import { fakeClock } from "../../support/clock.ts";
import { DATABASE, openShop, type Shop } from "../../support/shop.ts";
import { testTarget, type TestTarget } from "../../support/test-issuers.ts";

const claimsOf = (issued: Pick<RenewedCredential, "credential">): Record<string, unknown> =>
  JSON.parse(Buffer.from(issued.credential.token?.reveal()?.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;
const admin = { name: "admin", role: "admin" } as const;

describe("a lease", () => {
  const clock = fakeClock();
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop({ clock });
  });
  afterAll(async () => {
    await shop[Symbol.asyncDispose]();
  });
  const leases = () => shop.broker.services.leases;
  const renew = (issued: IssuedCredential, taskToken: Secret, ttlMs?: number) =>
    leases().renew({ leaseId: issued.lease.id, taskToken, ttlMs, origin: origin() });

  it("may be seen and given back by its own credential", async () => {
    const issued = await shop.exchange();
    const { token } = issued.credential;
    expect(await leases().get(issued.lease.id, { kind: "bearer", token }, origin())).toMatchObject({ state: "active" });
    const released = await leases().release(issued.lease.id, token, origin());
    expect(released).toMatchObject({
      lease: { state: "revoked", endedBy: "released" },
      receipt: { outcome: "revoked", revocation: "verifier_checked" },
    });
    expect(await leases().release(issued.lease.id, token, origin())).toEqual(released);
  });

  it("is not shown to the credential of another lease, nor told from one that does not exist", async () => {
    const [mine, other] = [await shop.exchange(), await shop.exchange()];
    const foreign = await leases()
      .get(mine.lease.id, { kind: "bearer", token: other.credential.token }, origin())
      .catch((error: unknown) => error);
    const unknown = await leases()
      .get("lease_01jzzzzzzz0000000000000000", { kind: "bearer", token: other.credential.token }, origin())
      .catch((error: unknown) => error);
    const otherTask = await leases()
      .get(mine.lease.id, { kind: "bearer", token: other.taskToken }, origin())
      .catch((error: unknown) => error);
    expect(foreign).toMatchObject({ code: "not_found" });
    expect([(unknown as Error).message, (otherTask as Error).message]).toEqual([(foreign as Error).message, (foreign as Error).message]);
    await expect(leases().release(mine.lease.id, new Secret("nothing"), origin())).rejects.toMatchObject({ code: "unauthenticated" });
  });

  it("is renewed by its task token: same lease, new token, same scope", async () => {
    const issued = await shop.exchange({ scope: ["deploy:read"], purpose: "INC-7" });
    clock.advance({ minutes: 5 });
    const renewed = await renew(issued, issued.taskToken);
    expect(renewed.lease.id).toBe(issued.lease.id);
    expect(renewed).toMatchObject({ scope: ["deploy:read"], expiresAt: clock() + 600_000 });
    expect(claimsOf(renewed)).toMatchObject({ lease_id: issued.lease.id, scope: "deploy:read", purpose: "INC-7" });
    expect(claimsOf(renewed)["jti"]).not.toBe(claimsOf(issued)["jti"]);
  });

  it("is never renewed past its maximum", async () => {
    const issued = await shop.exchange();
    for (let turn = 0; turn < 4; turn += 1) {
      clock.advance({ minutes: 7 });
      expect((await renew(issued, issued.taskToken)).expiresAt).toBeLessThanOrEqual(issued.lease.openedAt + 1_800_000);
    }
    clock.advance({ minutes: 3 });
    await expect(renew(issued, issued.taskToken)).rejects.toMatchObject({ code: "lease_ended" });
  });

  it("is not renewed by its own credential, nor by another task, nor once it has ended", async () => {
    const [mine, other] = [await shop.exchange(), await shop.exchange()];
    await expect(renew(mine, mine.credential.token)).rejects.toMatchObject({ code: "unauthenticated" });
    await expect(renew(mine, other.taskToken)).rejects.toMatchObject({ code: "not_found" });
    await leases().release(mine.lease.id, mine.taskToken, origin());
    await expect(renew(mine, mine.taskToken)).rejects.toMatchObject({ code: "lease_ended" });
  });

  it("is found by the SHA-256 of its credential", async () => {
    const issued = await shop.exchange();
    await shop.broker.settled();
    const { createHash } = await import("node:crypto");
    const credentialSha256 = createHash("sha256").update(issued.credential.token.reveal()).digest("hex");
    expect((await leases().list({ credentialSha256 }, undefined, 10)).items).toMatchObject([{ id: issued.lease.id }]);
  });
});

describe("a lease whose credential lives at a target", () => {
  const clock = fakeClock();
  let shop: Shop;
  let target: TestTarget;
  beforeEach(async () => {
    const made = await testTarget();
    target = made;
    shop = await openShop({ clock, issuers: [made.issuer], more: DATABASE, random: () => 0.5 });
  });
  afterEach(async () => {
    await shop[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
  });

  it("is not answered when the target could not make it, and leaves nothing behind", async () => {
    target.fail("issue", "before");
    await expect(shop.exchange({ grant: "database" })).rejects.toMatchObject({ code: "issuer_unavailable" });
    expect(await target.alive()).toEqual([]);
  });

  it("says when to come again, as the target said it", async () => {
    const issue = (): never => {
      throw new RetryableFailure("nearly all calls of this hour are spent", { retryAfterMs: 90_500 });
    };
    await using made = await testTarget();
    await using busy = await openShop({ clock, issuers: [{ ...made.issuer, issue }], more: DATABASE });
    await expect(busy.exchange({ grant: "database" })).rejects.toMatchObject({
      code: "issuer_unavailable",
      facts: { retryAfterSeconds: 91 },
    });
  });

  it("is undone when the target made it and its answer was lost", async () => {
    target.fail("issue", "after");
    const refused = await shop.exchange({ grant: "database" }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "issuer_unavailable" });
    expect(await target.alive()).toEqual([]);
  });

  it("is undone by the sweeper when the undoing failed too", async () => {
    target.fail("issue", "after");
    target.fail("revoke", "before", 2);
    await expect(shop.exchange({ grant: "database" })).rejects.toMatchObject({ code: "issuer_unavailable" });
    expect(await target.alive()).toHaveLength(1);
    clock.advance({ minutes: 1 });
    await shop.broker.sweep();
    await shop.broker.settled();
    expect(await target.alive()).toEqual([]);
    expect((await shop.broker.store.leases.counts()).byState).toMatchObject({ revoked: 1 });
  });

  it("is already gone, which is success", async () => {
    const issued = await shop.exchange({ grant: "database" });
    await target.removeBehindOurBack(issued.lease.id);
    expect(await shop.broker.services.leases.release(issued.lease.id, issued.taskToken, origin())).toMatchObject({
      lease: { state: "revoked" },
    });
  });

  it("can be closed by force by one named admin, and is listed for ever", async () => {
    const issued = await shop.exchange({ grant: "database" });
    target.goDown();
    expect(await shop.broker.services.leases.forceClose(issued.lease.id, admin, "the database is gone for good", origin())).toMatchObject({
      state: "forced",
    });
    expect((await shop.broker.services.leases.list({ state: "forced" }, undefined, 10)).items).toMatchObject([{ id: issued.lease.id }]);
  });

  it("becomes stuck at once when trying again cannot help, is listed, and is still tried", async () => {
    const issued = await shop.exchange({ grant: "database" });
    target.fail("revoke", "permanent");
    await shop.broker.services.leases.release(issued.lease.id, issued.taskToken, origin());
    expect((await shop.broker.services.leases.list({ state: "stuck" }, undefined, 10)).items).toMatchObject([
      { id: issued.lease.id, attempts: 1, lastError: expect.stringContaining("refuses our credentials") },
    ]);
    clock.advance({ minutes: 16 });
    await shop.broker.sweep();
    await shop.broker.settled();
    expect(await shop.broker.store.leases.get(issued.lease.id)).toMatchObject({ state: "revoked" });
  });
});
