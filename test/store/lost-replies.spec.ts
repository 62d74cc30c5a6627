import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { newId, subjectBits, type LeaseId } from "../../domain/ids.ts";
import type { RevocationJob } from "../../store/api.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { denialOf, freshEvidence, openOrder, principalOf, storeClock, taskOrder } from "../support/orders.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

const RETENTION = 604_800_000;

describe("a script that runs again because its reply was lost", () => {
  let redis: TestRedis;
  let proxy: TcpProxy;
  let store: OpenedStore;
  let clock: FakeClock;
  let subjects = 0;
  const aSubject = (): string => `github:${(subjects += 1)}`;
  const bucketOf = (subject: string): number => subjectBits(subject) % 64;

  beforeAll(async () => {
    redis = await startRedis();
    clock = fakeClock();
    proxy = await startTcpProxy({ port: Number(new URL(redis.url).port) });
    store = await openStore({ url: `redis://127.0.0.1:${proxy.port}`, clock: storeClock(clock) });
  }, 60_000);
  afterAll(async () => {
    await store.close();
    await proxy[Symbol.asyncDispose]();
    await redis.stop();
  });

  it("does not hand out a lease that was ended meanwhile", async () => {
    const order = openOrder(clock, aSubject());
    await store.leases.open(order);
    await store.leases.end(order.leaseId, "revoked", { action: "lease.ended", principal: "test" });
    expect(await store.leases.open(order)).toMatchObject({ outcome: "refused", code: "lease_ended" });
  });

  it("does not hand out a lease that a mark covers by now", async () => {
    const subject = aSubject();
    const order = openOrder(clock, subject);
    await store.leases.open(order);
    await store.revocations.mark(bucketOf(subject), { kind: "workload", name: subject }, clock(), {
      action: "revocation.started",
      principal: "test",
    });
    expect(await store.leases.open(order)).toMatchObject({ outcome: "refused", code: "lease_ended" });
  });

  it("joins a task once, and spends the evidence once", async () => {
    const subject = aSubject();
    const implicit = { value: "run-1", ttlMs: 3_600_000 };
    const first = await store.tasks.open(taskOrder(clock, subject, { implicit }));
    const principal = principalOf(subject, freshEvidence(clock()));
    proxy.loseNextReply();
    const again = await store.tasks.open(taskOrder(clock, subject, { implicit, principal }));
    expect(again).toMatchObject({ outcome: "joined" });
    if (first.outcome === "refused" || again.outcome === "refused") throw new Error("refused");
    expect(again.task.id).toBe(first.task.id);
    expect(await store.tasks.open(taskOrder(clock, subject, { implicit, principal }))).toMatchObject({ code: "evidence_spent" });
  });

  it("counts a refusal once", async () => {
    const subject = aSubject();
    const principal = principalOf(subject, freshEvidence(clock()));
    const refused = openOrder(clock, subject, { principal, limits: { active: 0, perHour: undefined } });
    for (let count = 0; count < 25; count++) expect(await store.leases.open(refused)).toMatchObject({ code: "limit_active" });
    expect(await store.leases.open(openOrder(clock, subject, { principal }))).toMatchObject({ outcome: "opened" });
  });

  it("tells the reason of a recorded refusal, not that the evidence is spent by it", async () => {
    const subject = aSubject();
    const evidence = freshEvidence(clock());
    const audit = { action: "request.denied", principal: subject, decision: "deny" } as const;
    for (let count = 1; count < 20; count++) await store.denials.record(denialOf(clock(), subject), audit, RETENTION, evidence);
    proxy.loseNextReply();
    expect(await store.denials.record(denialOf(clock(), subject), audit, RETENTION, evidence)).toBe("recorded");
  });

  it("appends one audit record", async () => {
    await store.audit.append(3, { action: "key.added", principal: "warm" });
    const before = (await store.audit.state(3)).lastSeq;
    proxy.loseNextReply();
    await store.audit.append(3, { action: "key.added", principal: "broker" });
    expect((await store.audit.state(3)).lastSeq).toBe(before + 1);
    await store.audit.append(3, { action: "key.added", principal: "broker" });
    expect((await store.audit.state(3)).lastSeq).toBe(before + 2);
  });

  const aJob = async (): Promise<RevocationJob> => {
    const job = {
      id: newId("rev", clock()),
      state: "marking",
      selector: {},
      reason: "test",
      by: "test",
      at: clock(),
      matched: 0,
      ended: 0,
      inForceAt: undefined,
      lockId: undefined,
      endings: [],
    } as const;
    await store.revocations.create(job, RETENTION);
    return job;
  };

  it("counts a page of a revocation once", async () => {
    const job = await aJob();
    const ids = (count: number): LeaseId[] => Array.from({ length: count }, () => newId("lease", clock()));
    const page = { closed: ids(60), waiting: ids(40) };
    await store.revocations.progress(job.id, RETENTION, {}); // the script is known from here on
    proxy.loseNextReply();
    expect(await store.revocations.progress(job.id, RETENTION, { page })).toEqual({ matched: 100, ended: 60 });
    const next = { closed: ids(10), waiting: [...page.waiting, ...ids(5)] };
    expect(await store.revocations.progress(job.id, RETENTION, { page: next })).toEqual({ matched: 115, ended: 70 });
  });

  it("lists an ending once", async () => {
    const job = await aJob();
    const ending = {
      leaseId: newId("lease", clock()),
      issuer: "jwt",
      outcome: "revoked",
      revocation: "expiry_only",
      endedAt: clock(),
      expiresAt: clock(),
      tookMs: 1,
      reason: undefined,
    } as const;
    await store.revocations.progress(job.id, RETENTION, { matched: 1 });
    proxy.loseNextReply();
    await store.revocations.progress(job.id, RETENTION, { matched: 1, ended: 1, endings: [ending] });
    expect((await store.revocations.get(job.id))?.endings).toHaveLength(1);
  });

  it("postpones once", async () => {
    const order = openOrder(clock, aSubject(), { state: "pending", issuer: "database", revocation: "immediate", keyId: undefined });
    await store.leases.open(order);
    await store.leases.end(order.leaseId, "issue_failed", { action: "lease.ended", principal: "test" });
    clock.advance({ minutes: 1 });
    const due = await store.leases.claim(order.leaseId);
    if (due === undefined) throw new Error("not claimed");
    await store.leases.postpone(order.leaseId, 99, { delayMs: 1000, error: "another epoch", stuck: false }); // the script is known from here on
    proxy.loseNextReply();
    expect(await store.leases.postpone(order.leaseId, due.epoch, { delayMs: 1000, error: "down", stuck: false })).toBe("postponed");
    expect(await store.leases.get(order.leaseId)).toMatchObject({ attempts: 1 });
  });
});
