import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { Selector } from "../../../broker/services.ts";
import { Secret } from "../../../domain/secret.ts";
import { newId } from "../../../domain/ids.ts";
import { origin } from "../../support/broker.ts";
import { fakeClock, type FakeClock } from "../../support/clock.ts";
import { DATABASE, DEPLOY_KEY, openShop, type Shop } from "../../support/shop.ts";
import { testTarget, type TestTarget } from "../../support/test-issuers.ts";

const responder = { name: "sam", role: "responder" } as const;

describe("a revocation", () => {
  let clock: FakeClock;
  let shop: Shop;
  let target: TestTarget;
  beforeEach(async () => {
    clock = fakeClock();
    const made = await testTarget();
    target = made;
    shop = await openShop({ clock, issuers: [made.issuer], more: DATABASE });
  });
  afterEach(async () => {
    await shop[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
  });
  const start = (selector: Selector, lockMs?: number) =>
    shop.broker.services.revocations.start({ selector, reason: "INC-412", lockMs, operator: responder, origin: origin() });
  const active = async (token: Secret): Promise<boolean> => {
    const verifier = shop.broker.services.verifiers.authenticate("deploy-api", new Secret(DEPLOY_KEY));
    if (verifier === undefined) throw new Error("the verifier is not known");
    return (await shop.broker.services.introspection.check(token, verifier)).active;
  };

  it("of a workload is in force when it is answered, and cleans up behind", async () => {
    const issued = [await shop.exchange(), await shop.exchange(), await shop.exchange({ grant: "database" })];
    const job = await start({ kind: "workload", name: "github/octo-org/octo-repo" });
    expect(job).toMatchObject({
      selector: { workload: "github/octo-org/octo-repo" },
      reason: "INC-412",
      by: "operator:sam",
      inForceAt: clock(),
    });
    expect(await active(issued[0]?.credential.token ?? new Secret(""))).toBe(false);
    await shop.broker.settled();
    const done = await shop.broker.services.revocations.get(job.id);
    expect(done).toMatchObject({ state: "done", matched: 3, ended: 3, receipt: { settled: true, endedBy: "revoked" } });
    expect(done.receipt.leases.map(({ leaseId }) => leaseId).sort()).toEqual(issued.map(({ lease }) => lease.id).sort());
    expect(await target.alive()).toEqual([]);
  });

  it("does not touch what is issued after it, even in the same millisecond", async () => {
    await shop.exchange();
    await start({ kind: "all" });
    const later = await shop.exchange();
    await shop.broker.settled();
    await shop.broker.sweep();
    expect(await active(later.credential.token)).toBe(true);
    expect(later.lease.openedAt).toBeGreaterThan(clock());
  });

  it("leaves other grants, trusts and workloads alone", async () => {
    const [deploy, database] = [await shop.exchange(), await shop.exchange({ grant: "database" })];
    await start({ kind: "grant", name: "database" });
    await start({ kind: "trust", name: "gitlab" });
    await start({ kind: "workload", name: "github:1" });
    await shop.broker.settled();
    expect(await active(deploy.credential.token)).toBe(true);
    expect(await shop.broker.store.leases.get(database.lease.id)).toMatchObject({ state: "revoked", endedBy: "revoked" });
  });

  it("of a leaked token says whose it was and kills it, by the token or by its hash", async () => {
    const [one, two] = [await shop.exchange(), await shop.exchange()];
    await shop.broker.settled();
    const byToken = await start({ kind: "credential", name: one.credential.token });
    const { createHash } = await import("node:crypto");
    const sha256 = createHash("sha256").update(two.credential.token.reveal()).digest("hex");
    const byHash = await start({ kind: "credential", name: new Secret(`sha256:${sha256}`) });
    expect(byToken.receipt.leases).toMatchObject([{ leaseId: one.lease.id, outcome: "revoked" }]);
    expect(byHash.receipt.leases).toMatchObject([{ leaseId: two.lease.id, outcome: "revoked" }]);
    expect(JSON.stringify([byToken, byHash])).not.toContain(one.credential.token.reveal());
    await expect(start({ kind: "credential", name: new Secret("nobody knows this") })).rejects.toMatchObject({ code: "not_found" });
  });

  it("of a task ends the task", async () => {
    const issued = await shop.exchange();
    const job = await start({ kind: "task", name: issued.task.id });
    expect(job.receipt.leases).toMatchObject([{ leaseId: issued.lease.id, outcome: "revoked" }]);
    expect(await shop.broker.store.tasks.get(issued.task.id)).toMatchObject({ state: "ended", endedBy: "revoked" });
  });

  it("with a lock keeps the revoked from coming back, until the lock is removed", async () => {
    const issued = await shop.exchange();
    const job = await start({ kind: "lease", name: issued.lease.id }, 86_400_000);
    await expect(shop.exchange()).rejects.toMatchObject({ code: "locked" });
    await shop.broker.services.locks.remove(job.lockId ?? "", responder, origin());
    expect(await shop.exchange()).toMatchObject({ grant: "deploy" });
  });

  it("tried dry changes nothing and says what it would", async () => {
    const issued = await shop.exchange();
    await shop.exchange({ grant: "few" });
    await shop.exchange({ grant: "database" });
    const plan = await shop.broker.services.revocations.dryRun({ kind: "all" });
    expect(plan).toMatchObject({ matched: 3, tasks: 3, truncated: false });
    expect(plan.byIssuer).toEqual(
      expect.arrayContaining([
        { issuer: "jwt", revocation: "verifier_checked", leases: 1, deadBy: clock() },
        { issuer: "jwt", revocation: "expiry_only", leases: 1, deadBy: clock() + 600_000 },
        { issuer: "test", revocation: "immediate", leases: 1, deadBy: undefined },
      ]),
    );
    expect(await active(issued.credential.token)).toBe(true);
  });

  it("counts once what a walk through the leases meets twice", async () => {
    const { lease } = await shop.exchange({ grant: "database" });
    const { revocations } = shop.broker.store;
    const [count, endMarked] = [revocations.count.bind(revocations), revocations.endMarked.bind(revocations)];
    const pages = new Map<number, Awaited<ReturnType<typeof endMarked>>>();
    Object.assign(revocations, {
      count: async (...asked: Parameters<typeof count>) => {
        const page = await count(...asked);
        return { ...page, leases: [...page.leases, ...page.leases] };
      },
      endMarked: async (...asked: Parameters<typeof endMarked>) => {
        const [bucket, , , , , cursor] = asked;
        const before = pages.get(bucket);
        if (cursor === "again" && before !== undefined) return before;
        const page = await endMarked(...asked);
        if (page.endings.length === 0) return page;
        pages.set(bucket, page);
        return { ...page, nextCursor: "again" };
      },
    });
    expect(await shop.broker.services.revocations.dryRun({ kind: "grant", name: "database" })).toMatchObject({
      matched: 1,
      leases: [{ id: lease.id }],
    });
    const { id } = await start({ kind: "grant", name: "database" });
    await shop.broker.settled();
    expect(pages.size).toBe(1);
    expect(await shop.broker.services.revocations.get(id)).toMatchObject({ state: "done", matched: 1, ended: 1 });
  });

  it("goes on after its broker died between the marks and the clean-up", async () => {
    const issued = await shop.exchange({ grant: "database" });
    const at = clock();
    const id = newId("rev", at);
    await shop.broker.store.revocations.create(
      {
        id,
        state: "marking",
        selector: { grant: "database" },
        reason: "INC-9",
        by: "operator:sam",
        at,
        matched: 0,
        ended: 0,
        inForceAt: undefined,
        lockId: undefined,
        endings: [],
      },
      604_800_000,
    );
    await shop.broker.duties.runOnce();
    expect((await shop.broker.services.revocations.get(id)).state).toBe("marking");
    clock.advance({ seconds: 11 });
    await shop.broker.duties.runOnce();
    await shop.broker.settled();
    expect(await shop.broker.services.revocations.get(id)).toMatchObject({ state: "done", matched: 1, ended: 1 });
    expect(await target.alive()).toEqual([]);
    expect(await shop.broker.store.leases.get(issued.lease.id)).toMatchObject({ state: "revoked" });
  });

  it("that breaks off says so, and is gone on with later", async () => {
    await shop.exchange();
    const { revocations } = shop.broker.store;
    const mark = revocations.mark.bind(revocations);
    const broken = async (): Promise<never> => Promise.reject(new Error("the store is away"));
    Object.assign(revocations, { mark: broken });
    const pending = await start({ kind: "grant", name: "deploy" }).catch((error: unknown) => error);
    expect(pending).toMatchObject({ code: "revocation_pending", facts: { revocationId: expect.stringMatching(/^rev_/) } });
    clock.advance({ seconds: 11 });
    await shop.broker.duties.runOnce();
    Object.assign(revocations, { mark });
    await shop.broker.duties.runOnce();
    await shop.broker.settled();
    const { revocationId } = (pending as { facts: { revocationId: string } }).facts;
    expect(await shop.broker.services.revocations.get(revocationId)).toMatchObject({ state: "done", matched: 1 });
  });

  it("of a signing key kills all that it signed, and nothing signed after it", async () => {
    const before = await shop.exchange();
    const [key] = (await shop.broker.services.keys.list()).filter(({ alg, state }) => alg === "ES256" && state === "active");
    await shop.broker.services.keys.withdraw(key?.kid ?? "", { name: "ada", role: "admin" }, "leaked", origin());
    expect(await active(before.credential.token)).toBe(false);
    await shop.broker.settled();
    expect(await shop.broker.store.leases.get(before.lease.id)).toMatchObject({ state: "revoked" });
    const after = await shop.exchange();
    expect(await active(after.credential.token)).toBe(true);
  });
});

describe("a lock", () => {
  it("stands alone: it refuses open and renew, with its own words, and lets things end", async () => {
    const clock = fakeClock();
    await using shop = await openShop({ clock });
    const issued = await shop.exchange();
    const lock = await shop.broker.services.locks.add({
      scope: { kind: "grant", name: "deploy" },
      ttlMs: 60_000,
      reason: "freeze",
      message: "no deploys tonight",
      operator: responder,
      origin: origin(),
    });
    expect(await shop.broker.services.locks.list()).toMatchObject([{ id: lock.id, by: "operator:sam" }]);
    await expect(shop.exchange()).rejects.toMatchObject({ code: "locked", message: "no deploys tonight" });
    await expect(
      shop.broker.services.leases.renew({ leaseId: issued.lease.id, taskToken: issued.taskToken, ttlMs: undefined, origin: origin() }),
    ).rejects.toMatchObject({ code: "locked" });
    expect(await shop.exchange({ grant: "few" })).toMatchObject({ grant: "few" });
    await shop.broker.services.leases.release(issued.lease.id, issued.taskToken, origin());
    clock.advance({ seconds: 61 });
    expect(await shop.exchange()).toMatchObject({ grant: "deploy" });
    await expect(shop.broker.services.locks.remove("lock_nonsense", responder, origin())).rejects.toMatchObject({ code: "not_found" });
  });
});
