import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { hash } from "node:crypto";
import { newId, subjectBits, type LeaseId, type LockId, type RevocationId, type TaskId } from "../../domain/ids.ts";
import type { Task } from "../../domain/task.ts";
import type { FeedHint, LeaseEnding, OpenReply, OpenTaskOrder } from "../../store/api.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { denialOf, freshEvidence, openOrder, principalOf, storeClock, taskOrder } from "../support/orders.ts";

interface Server extends AsyncDisposable {
  readonly url: string;
}

const RETENTION = 604_800_000;
const ENDED = { action: "lease.ended", principal: "test" } as const;
const TASK_ENDED = { action: "task.ended", principal: "test" } as const;
const MARKED = { action: "revocation.started", principal: "operator:ann" } as const;
const OUTSIDE = { state: "pending", issuer: "database", revocation: "immediate", keyId: undefined } as const;

/** What every Redis layout must do with the same scripts. */
export function storeContract(name: string, start: () => Promise<Server>): void {
  describe(`a store on ${name}`, () => {
    let server: Server;
    let store: OpenedStore;
    let clock: FakeClock;
    let agreed = true;
    let subjects = 0;
    const aSubject = (): string => `github:${(subjects += 1)}`;

    beforeAll(async () => {
      server = await start();
      clock = fakeClock();
      store = await openStore({ url: server.url, clock: storeClock(clock, () => agreed) });
    }, 60_000);
    afterAll(async () => {
      await store.close();
      await server[Symbol.asyncDispose]();
    });

    const opened = (reply: OpenReply): Extract<OpenReply, { outcome: "opened" }> => {
      if (reply.outcome !== "opened") throw new Error(`not opened: ${JSON.stringify(reply)}`);
      return reply;
    };
    const obtain = async (subject: string, change: Parameters<typeof openOrder>[2] = {}): Promise<LeaseId> =>
      opened(await store.leases.open(openOrder(clock, subject, change))).lease.id;
    const openTask = async (subject: string, change: Partial<OpenTaskOrder> = {}): Promise<Task> => {
      const reply = await store.tasks.open(taskOrder(clock, subject, change));
      if (reply.outcome === "refused") throw new Error(reply.code);
      return reply.task;
    };
    const endingsOf = async (id: TaskId): Promise<readonly LeaseEnding[]> => {
      const all: LeaseEnding[] = [];
      for await (const page of store.tasks.endings(id)) all.push(...page);
      return all;
    };
    const bucketOf = (subject: string): number => subjectBits(subject) % 64;

    describe("opening", () => {
      it("records an active lease, its task and its audit in one step", async () => {
        const subject = aSubject();
        const reply = opened(await store.leases.open(openOrder(clock, subject)));
        expect(reply.lease).toMatchObject({
          state: "active",
          subject,
          grant: "deploy",
          openedAt: clock(),
          expiresAt: clock() + 600_000,
          endedAt: undefined,
        });
        expect(reply).toMatchObject({ limitedBy: "grant", taskOpened: true, task: { state: "open", subject } });
        expect(await store.leases.isLive(reply.lease.id, "key-1")).toBe(true);
        const rows = await store.audit.read(bucketOf(subject), 0, 1000);
        expect(rows.find((row) => row.lease === reply.lease.id)).toMatchObject({
          action: "lease.issued",
          task: reply.task.id,
          limited_by: "grant",
          decision: "allow",
        });
        expect(rows.find((row) => row.task === reply.task.id)).toMatchObject({ action: "task.opened" });
      });
      it("answers the same when it is sent twice because a reply was lost", async () => {
        const order = openOrder(clock, aSubject(), { limits: { active: 1, perHour: 1 } });
        const first = opened(await store.leases.open(order));
        expect(opened(await store.leases.open(order)).lease).toEqual(first.lease);
      });
      it("spends evidence once, and never by a refusal", async () => {
        const subject = aSubject();
        const principal = principalOf(subject, freshEvidence(clock()));
        const full = openOrder(clock, subject, { principal, limits: { active: 0, perHour: undefined } });
        expect(await store.leases.open(full)).toMatchObject({ outcome: "refused", code: "limit_active", live: 0 });
        await obtain(subject, { principal });
        expect(await store.leases.open(openOrder(clock, subject, { principal }))).toMatchObject({
          outcome: "refused",
          code: "evidence_spent",
        });
      });
      it("gives exactly one of twenty callers with the same evidence a lease", async () => {
        const subject = aSubject();
        const principal = principalOf(subject, freshEvidence(clock()));
        const replies = await Promise.all(Array.from({ length: 20 }, () => store.leases.open(openOrder(clock, subject, { principal }))));
        expect(replies.filter(({ outcome }) => outcome === "opened")).toHaveLength(1);
      });
      it("finds evidence spent after twenty refusals", async () => {
        const subject = aSubject();
        const evidence = freshEvidence(clock(), 100);
        const audit = { action: "request.denied", principal: subject } as const;
        const replies: string[] = [];
        for (let count = 0; count < 21; count++)
          replies.push(await store.denials.record(denialOf(clock(), subject), audit, RETENTION, evidence));
        expect(replies.filter((reply) => reply === "recorded")).toHaveLength(20);
        expect(replies.at(-1)).toBe("spent");
        expect(await store.leases.open(openOrder(clock, subject, { principal: principalOf(subject, evidence) }))).toMatchObject({
          code: "evidence_spent",
        });
      });
      it("holds the budget of live leases under concurrency", async () => {
        const subject = aSubject();
        const limits = { active: 3, perHour: undefined };
        const replies = await Promise.all(Array.from({ length: 12 }, () => store.leases.open(openOrder(clock, subject, { limits }))));
        const made = replies.flatMap((reply) => (reply.outcome === "opened" ? [reply.lease.id] : []));
        expect(made).toHaveLength(3);
        expect(replies.find(({ outcome }) => outcome === "refused")).toMatchObject({ code: "limit_active", live: 3 });
        for (const id of made.slice(0, 1)) await store.leases.end(id, "released", ENDED);
        await obtain(subject, { limits });
      });
      it("counts an hour from its first issue", async () => {
        const subject = aSubject();
        const limits = { active: undefined, perHour: 2 };
        await obtain(subject, { limits });
        clock.advance({ minutes: 30 });
        await obtain(subject, { limits });
        expect(await store.leases.open(openOrder(clock, subject, { limits }))).toMatchObject({
          code: "limit_rate",
          retryAfterMs: 1_800_000,
        });
        clock.advance({ minutes: 30 });
        await obtain(subject, { limits });
      });
      it("shortens a lease to its task's end and says so", async () => {
        const subject = aSubject();
        const task = await openTask(subject, { ttlMs: 60_000 });
        const reply = opened(await store.leases.open(openOrder(clock, subject, { task: { kind: "task", id: task.id } })));
        expect(reply).toMatchObject({ limitedBy: "task", lease: { expiresAt: task.expiresAt } });
      });
      it("stops when the clocks disagree, and ending goes on", async () => {
        const subject = aSubject();
        const lease = await obtain(subject);
        agreed = false;
        expect(await store.leases.open(openOrder(clock, subject))).toMatchObject({ outcome: "refused", code: "clock_disagrees" });
        expect((await store.leases.end(lease, "released", ENDED))?.state).toBe("revoked");
        agreed = true;
      });
      it("keeps a refusal for operators with the code it found", async () => {
        const order = openOrder(clock, aSubject(), { limits: { active: 0, perHour: undefined } });
        await store.leases.open(order);
        expect((await store.denials.get(order.denial.id))?.view.code).toBe("limit_active");
      });
    });

    describe("a repeated request with an idempotency key", () => {
      const idempotency = { key: "k1", body: "b1" };
      // In the store the key already carries subject and route.
      const of = (subject: string): { idempotency: { key: string; body: string } } => ({
        idempotency: { ...idempotency, key: `k1-${subject}` },
      });
      it("brings back the same lease and what is needed to sign it again", async () => {
        const subject = aSubject();
        const first = await obtain(subject, { ...of(subject), replay: '{"a":1}' });
        clock.advance({ seconds: 1 });
        expect(await store.leases.open(openOrder(clock, subject, of(subject)))).toMatchObject({
          outcome: "replayed",
          lease: { id: first },
          replay: '{"a":1}',
        });
      });
      it("is refused with another body", async () => {
        const subject = aSubject();
        await obtain(subject, of(subject));
        const other = { idempotency: { ...of(subject).idempotency, body: "other" } };
        expect(await store.leases.open(openOrder(clock, subject, other))).toMatchObject({ code: "idempotency_mismatch" });
      });
      it("does not issue again what an outside target has made", async () => {
        const subject = aSubject();
        const lease = await obtain(subject, { ...of(subject), ...OUTSIDE });
        expect(await store.leases.open(openOrder(clock, subject, { ...of(subject), ...OUTSIDE }))).toMatchObject({
          code: "in_flight",
          leaseId: lease,
        });
        expect(await store.leases.activate(lease, { handle: "sealed", externalName: undefined })).toBe("activated");
        expect(await store.leases.open(openOrder(clock, subject, { ...of(subject), ...OUTSIDE }))).toMatchObject({
          code: "already_issued",
          leaseId: lease,
        });
      });
      it("does not bring back a lease that has ended", async () => {
        const subject = aSubject();
        await store.leases.end(await obtain(subject, of(subject)), "released", ENDED);
        expect(await store.leases.open(openOrder(clock, subject, of(subject)))).toMatchObject({ code: "lease_ended" });
      });
      it("makes one lease when fifty come at once", async () => {
        const subject = aSubject();
        const replies = await Promise.all(Array.from({ length: 50 }, () => store.leases.open(openOrder(clock, subject, of(subject)))));
        expect(new Set(replies.map((reply) => ("lease" in reply ? reply.lease.id : "none"))).size).toBe(1);
      });
    });

    describe("a lease of an issuer with an outside effect", () => {
      it("is pending, then active, then revoking until its target has proved absence", async () => {
        const id = await obtain(aSubject(), OUTSIDE);
        expect(await store.leases.get(id)).toMatchObject({ state: "pending" });
        expect(await store.leases.isLive(id, undefined)).toBe(false);
        expect(await store.leases.activate(id, { handle: "sealed", externalName: `stint_${id}` })).toBe("activated");
        expect(await store.leases.isLive(id, undefined)).toBe(true);
        expect((await store.leases.list({ externalName: `stint_${id}` }, undefined, 10)).items.map((lease) => lease.id)).toEqual([id]);
        expect(await store.leases.end(id, "released", ENDED)).toMatchObject({ state: "revoking", endedBy: "released" });
        expect(await store.leases.isLive(id, undefined)).toBe(false);
        expect(await store.leases.claim(id)).toMatchObject({ epoch: 1, handle: "sealed" });
        expect(await store.leases.settle(id, 1, "revoked")).toBe("settled");
        expect(await store.leases.get(id)).toMatchObject({ state: "revoked", endedBy: "released" });
      });
      it("cannot be activated once it was given up", async () => {
        const id = await obtain(aSubject(), OUTSIDE);
        clock.advance({ seconds: 31 });
        expect(await store.leases.activate(id, { handle: "sealed", externalName: undefined })).toBe("already_ended");
        expect(await store.leases.get(id)).toMatchObject({ state: "revoking", endedBy: "issue_failed" });
      });
      it("obeys only the latest claim", async () => {
        const id = await obtain(aSubject(), OUTSIDE);
        await store.leases.activate(id, { handle: "sealed-handle", externalName: undefined });
        await store.leases.end(id, "revoked", ENDED);
        const old = await store.leases.claim(id);
        const late = await store.leases.claim(id);
        expect([old?.epoch, late?.epoch]).toEqual([1, 2]);
        expect(await store.leases.settle(id, 1, "revoked")).toBe("superseded");
        expect(await store.leases.postpone(id, 1, { delayMs: 1000, error: "late", stuck: false })).toBe("superseded");
        expect(await store.leases.settle(id, 2, "already_gone")).toBe("settled");
      });
      it("is postponed, gets stuck, stays due, and is still tried", async () => {
        const subject = aSubject();
        const id = await obtain(subject, OUTSIDE);
        await store.leases.activate(id, { handle: "sealed-handle", externalName: undefined });
        await store.leases.end(id, "revoked", ENDED);
        const claim = await store.leases.claim(id);
        expect(await store.leases.postpone(id, claim?.epoch ?? 0, { delayMs: 5000, error: "target is down", stuck: true })).toBe(
          "postponed",
        );
        expect(await store.leases.get(id)).toMatchObject({ state: "stuck", attempts: 1, lastError: "target is down" });
        clock.advance({ seconds: 6 });
        const due = await store.leases.claimDue(bucketOf(subject), 100, "allowed");
        expect(due.claimed.map(({ lease }) => lease.id)).toContain(id);
        expect(await store.leases.force(id, "ann", "target was scrapped")).toMatchObject({ state: "forced" });
        expect((await store.leases.list({ state: "forced" }, undefined, 100)).items.map((lease) => lease.id)).toContain(id);
      });
    });

    describe("what is due", () => {
      it("ends expired leases of a computing issuer in one script with one record", async () => {
        const subject = aSubject();
        const ids = [await obtain(subject), await obtain(subject), await obtain(subject)];
        clock.advance({ minutes: 10 });
        expect((await store.leases.dueBuckets()).leases).toContain(bucketOf(subject));
        const before = (await store.audit.state(bucketOf(subject))).lastSeq;
        const done = await store.leases.claimDue(bucketOf(subject), 100, "allowed");
        expect(done.expired).toBeGreaterThanOrEqual(3);
        expect((await store.audit.state(bucketOf(subject))).lastSeq).toBe(before + 1);
        for (const id of ids) expect(await store.leases.get(id)).toMatchObject({ state: "revoked", endedBy: "expiry" });
        expect((await store.leases.dueBuckets()).leases).not.toContain(bucketOf(subject));
      });
      it("steps aside for a second, unclaimed, where its issuer has enough to do", async () => {
        const subject = aSubject();
        const id = await obtain(subject, OUTSIDE);
        await store.leases.activate(id, { handle: undefined, externalName: undefined });
        await store.leases.end(id, "revoked", ENDED);
        const { issuer } = (await store.leases.get(id)) ?? { issuer: "" };
        expect((await store.leases.claimDue(bucketOf(subject), 100, "allowed", ["another", issuer])).claimed).toEqual([]);
        expect((await store.leases.claimDue(bucketOf(subject), 100, "allowed", [`${issuer}x`])).claimed).toEqual([]);
        clock.advance({ seconds: 1 });
        const { claimed } = await store.leases.claimDue(bucketOf(subject), 100, "allowed", [`${issuer}x`, issuer.slice(1)]);
        expect(claimed).toMatchObject([{ lease: { id } }]);
      });
      it("is due again at once when whoever claimed it gives it back, unless somebody else has claimed it since", async () => {
        const subject = aSubject();
        const id = await obtain(subject, OUTSIDE);
        await store.leases.activate(id, { handle: undefined, externalName: undefined });
        await store.leases.end(id, "revoked", ENDED);
        const due = async () => (await store.leases.claimDue(bucketOf(subject), 100, "allowed")).claimed;
        const [first] = await due();
        expect(await due()).toEqual([]);
        await store.leases.giveBack(id, first?.epoch ?? 0);
        const [second] = await due();
        expect(second).toMatchObject({ lease: { id } });
        await store.leases.giveBack(id, first?.epoch ?? 0);
        expect(await due()).toEqual([]);
      });
      it("waits on hold where a call is needed", async () => {
        const subject = aSubject();
        const id = await obtain(subject, OUTSIDE);
        await store.leases.end(id, "revoked", ENDED);
        expect((await store.leases.claimDue(bucketOf(subject), 100, "on_hold")).claimed).toEqual([]);
        expect(await store.leases.get(id)).toMatchObject({ state: "revoking" });
      });
    });

    describe("renewing", () => {
      const renewal = (id: LeaseId, taskId: TaskId, ttlMs: number): Parameters<OpenedStore["leases"]["renew"]>[0] => ({
        id,
        taskId,
        keyId: "key-2",
        jti: "renewed",
        ttlMs,
        limitedBy: "asked",
        audit: { action: "lease.renewed", principal: "test" },
        denial: denialOf(clock(), "github:0"),
        retentionMs: RETENTION,
      });
      it("moves the end later, and at most to opened + max_ttl", async () => {
        const { lease } = opened(await store.leases.open(openOrder(clock, aSubject())));
        clock.advance({ minutes: 9 });
        expect(await store.leases.renew(renewal(lease.id, lease.task, 600_000))).toMatchObject({
          outcome: "renewed",
          limitedBy: "asked",
          lease: { expiresAt: clock() + 600_000 },
        });
        clock.advance({ minutes: 9 });
        expect(await store.leases.renew(renewal(lease.id, lease.task, 7_200_000))).toMatchObject({
          limitedBy: "grant",
          lease: { expiresAt: lease.maxExpiresAt },
        });
      });
      it("happens once for an idempotency key, and not at all once the lease has ended", async () => {
        const { lease } = opened(await store.leases.open(openOrder(clock, aSubject())));
        const under = (jti: string, body = "b"): ReturnType<typeof renewal> => ({
          ...renewal(lease.id, lease.task, 600_000),
          jti,
          idempotency: { key: `renew-${lease.id}`, body },
        });
        const first = await store.leases.renew(under("first"));
        expect(first).toMatchObject({ outcome: "renewed", jti: "first" });
        clock.advance({ minutes: 1 });
        expect(await store.leases.renew(under("second"))).toEqual(first);
        expect(await store.leases.get(lease.id)).toMatchObject({ expiresAt: clock() + 540_000 });
        expect(await store.leases.renew(under("third", "other"))).toMatchObject({ code: "idempotency_mismatch" });
        await store.leases.end(lease.id, "released", ENDED);
        expect(await store.leases.renew(under("fourth"))).toMatchObject({ code: "lease_ended" });
      });
      it("refuses an expired lease, an ended one, and another task", async () => {
        const subject = aSubject();
        const { lease } = opened(await store.leases.open(openOrder(clock, subject)));
        expect(await store.leases.renew(renewal(lease.id, newId("task", clock(), subjectBits(subject)), 1000))).toMatchObject({
          code: "not_found",
        });
        clock.advance({ minutes: 10 });
        expect(await store.leases.renew(renewal(lease.id, lease.task, 1000))).toMatchObject({ code: "lease_ended" });
        const other = opened(await store.leases.open(openOrder(clock, subject)));
        await store.leases.end(other.lease.id, "released", ENDED);
        expect(await store.leases.renew(renewal(other.lease.id, other.task.id, 1000))).toMatchObject({ code: "lease_ended" });
      });
    });

    describe("a task", () => {
      it("is shared by requests of the same value and refused once it has ended", async () => {
        const subject = aSubject();
        const task = { kind: "implicit", value: "run-1" } as const;
        const first = opened(await store.leases.open(openOrder(clock, subject, { task })));
        const second = opened(await store.leases.open(openOrder(clock, subject, { task })));
        expect(second.task.id).toBe(first.task.id);
        expect([first.taskOpened, second.taskOpened]).toEqual([true, false]);
        expect((await store.tasks.open(taskOrder(clock, subject, { implicit: { value: "run-1", ttlMs: 1000 } }))).outcome).toBe("joined");
        const done = await store.tasks.end(first.task.id, "complete", "success", TASK_ENDED, RETENTION);
        expect(done?.task).toMatchObject({ state: "ended", endedBy: "complete", outcome: "success" });
        expect(await store.leases.get(first.lease.id)).toMatchObject({ state: "revoked", endedBy: "complete" });
        expect(await store.leases.open(openOrder(clock, subject, { task }))).toMatchObject({ code: "task_ended" });
        expect(await store.tasks.open(taskOrder(clock, subject, { implicit: { value: "run-1", ttlMs: 1000 } }))).toMatchObject({
          code: "task_ended",
        });
        clock.advance({ hours: 6 });
        expect(opened(await store.leases.open(openOrder(clock, subject, { task }))).task.id).not.toBe(first.task.id);
      });
      it("keeps how each lease ended, and ends only once", async () => {
        const subject = aSubject();
        const made = opened(await store.leases.open(openOrder(clock, subject)));
        const pending = await obtain(subject, { task: { kind: "task", id: made.task.id }, ...OUTSIDE });
        await store.tasks.end(made.task.id, "exit", "failure", TASK_ENDED, RETENTION);
        const again = await store.tasks.end(made.task.id, "complete", "success", TASK_ENDED, RETENTION);
        expect(again).toMatchObject({ task: { endedBy: "exit", outcome: "failure" }, revoking: new Set([pending]) });
        const endings = await endingsOf(made.task.id);
        expect(Object.fromEntries(endings.map((ending) => [ending.leaseId, ending.outcome]))).toEqual({
          [made.lease.id]: "revoked",
          [pending]: "revoking",
        });
      });
      it("with many leases ends all of them", async () => {
        const subject = aSubject();
        const first = opened(await store.leases.open(openOrder(clock, subject)));
        await Promise.all(Array.from({ length: 250 }, () => obtain(subject, { task: { kind: "task", id: first.task.id } })));
        await store.tasks.end(first.task.id, "complete", "success", TASK_ENDED, RETENTION);
        const endings = await endingsOf(first.task.id);
        expect([endings.length, endings.filter(({ outcome }) => outcome === "revoked").length]).toEqual([251, 251]);
      });
      it("takes its children with it, across workloads", async () => {
        const parent = await openTask(aSubject());
        const child = await openTask(aSubject(), { parent: parent.id, ttlMs: 36_000_000 });
        expect(child).toMatchObject({ parent: parent.id, expiresAt: parent.expiresAt });
        const lease = await obtain(child.subject, { task: { kind: "task", id: child.id } });
        await store.tasks.end(parent.id, "complete", "success", TASK_ENDED, RETENTION);
        expect(await store.tasks.get(child.id)).toMatchObject({ state: "ended", endedBy: "complete" });
        expect(await store.leases.isLive(lease, undefined)).toBe(false);
        expect(await store.tasks.open(taskOrder(clock, aSubject(), { parent: parent.id }))).toMatchObject({ code: "task_ended" });
      });
      it("ends by lost heartbeat, and not before", async () => {
        const subject = aSubject();
        const task = await openTask(subject, { heartbeatMs: 30_000 });
        clock.advance({ seconds: 20 });
        expect(await store.tasks.heartbeat(task.id)).toMatchObject({ heartbeatBy: clock() + 30_000 });
        expect((await store.tasks.end(task.id, "heartbeat", undefined, TASK_ENDED, RETENTION))?.task.state).toBe("open");
        clock.advance({ seconds: 31 });
        expect(await store.tasks.due(bucketOf(subject), 100)).toContainEqual({ id: task.id, by: "heartbeat" });
        expect((await store.tasks.end(task.id, "heartbeat", undefined, TASK_ENDED, RETENTION))?.task.endedBy).toBe("heartbeat");
        expect((await store.tasks.due(bucketOf(subject), 100)).map(({ id }) => id)).not.toContain(task.id);
      });
      it("belongs to one workload", async () => {
        const task = await openTask(aSubject());
        expect(await store.leases.open(openOrder(clock, aSubject(), { task: { kind: "task", id: task.id } }))).toMatchObject({
          code: "task_ended",
        });
      });
      it("is listed while it is open and when it has ended", async () => {
        const subject = aSubject();
        const task = await openTask(subject);
        const ids = async (state: string): Promise<string[]> =>
          (await store.tasks.list({ workload: subject, state }, undefined, 100)).items.map(({ id }) => id);
        expect(await ids("open")).toEqual([task.id]);
        await store.tasks.end(task.id, "complete", "success", TASK_ENDED, RETENTION);
        expect([await ids("open"), await ids("ended")]).toEqual([[], [task.id]]);
      });
    });

    describe("marks and locks", () => {
      it("revoke at once what was opened before, and nothing opened after", async () => {
        const subject = aSubject();
        const lease = await obtain(subject);
        const scope = { kind: "workload", name: subject } as const;
        const mark = await store.revocations.mark(bucketOf(subject), scope, clock(), MARKED);
        expect(mark).toBe(clock());
        expect(await store.leases.isLive(lease, "key-1")).toBe(false);
        expect(await store.leases.get(lease)).toMatchObject({ state: "revoking", endedBy: "revoked" });
        expect(await store.leases.open(openOrder(clock, subject))).toEqual({ outcome: "superseded", mark, keyWithdrawn: false });
        const later = newId("lease", mark + 1, subjectBits(subject));
        await obtain(subject, { leaseId: later });
        const cleaned = await store.revocations.endMarked(bucketOf(subject), scope, mark, ENDED, 100, undefined);
        expect(cleaned.endings.map(({ leaseId, outcome }) => [leaseId, outcome])).toEqual([[lease, "revoked"]]);
        expect(await store.leases.isLive(later, "key-1")).toBe(true);
      });
      it("of a job that goes on after a crash cover nothing that was opened since", async () => {
        const subject = aSubject();
        const scope = { kind: "workload", name: subject } as const;
        const before = await obtain(subject);
        const began = clock();
        const first = await store.revocations.mark(bucketOf(subject), scope, began, MARKED);
        clock.advance({ minutes: 1 });
        const since = await obtain(subject);
        expect(await store.revocations.mark(bucketOf(subject), scope, began, MARKED)).toBe(first);
        expect([await store.leases.isLive(before, undefined), await store.leases.isLive(since, undefined)]).toEqual([false, true]);
      });
      it("hold one instant in all buckets, not before anything opened in any of them", async () => {
        const subject = aSubject();
        const other = aSubject();
        const ahead = clock() + 700; // opened by a broker whose clock is ahead
        clock.set(ahead);
        const lease = await obtain(subject, { grant: "ahead" });
        clock.set(ahead - 700);
        const buckets = [bucketOf(subject), bucketOf(other)];
        const at = await store.revocations.instant(buckets);
        expect(at).toBe(ahead);
        expect(await store.revocations.instant([bucketOf(other)])).toBeLessThanOrEqual(at);
        clock.set(ahead + 300);
        const scope = { kind: "grant", name: "ahead" } as const;
        // Opened after the instant was chosen, before its bucket's turn came.
        const meanwhile = await obtain(other, { grant: "ahead" });
        for (const bucket of buckets) expect(await store.revocations.mark(bucket, scope, at, MARKED)).toBe(at);
        expect([await store.leases.isLive(lease, undefined), await store.leases.isLive(meanwhile, undefined)]).toEqual([false, true]);
      });
      it.each([
        ["grant", "grant-of-its-own"],
        ["issuer", "issuer-of-its-own"],
        ["key", "key-of-its-own"],
      ] as const)("cover a %s", async (kind, name) => {
        const subject = aSubject();
        const change = kind === "grant" ? { grant: name } : kind === "issuer" ? { issuer: name } : { keyId: name };
        const covered = await obtain(subject, change);
        const other = await obtain(subject);
        const mark = await store.revocations.mark(bucketOf(subject), { kind, name }, clock(), MARKED);
        expect([await store.leases.isLive(covered, undefined), await store.leases.isLive(other, undefined)]).toEqual([false, true]);
        expect(await ended(bucketOf(subject), kind, name, mark, 2)).toEqual([covered]);
      });
      it("clean up behind a mark page by page without missing one", async () => {
        const subject = aSubject();
        const ttl = (index: number): number => 60_000 + (index % 7) * 1000;
        const leases = await Promise.all(Array.from({ length: 137 }, (_, index) => obtain(subject, { grant: "mass", ttlMs: ttl(index) })));
        await Promise.all(Array.from({ length: 41 }, (_, index) => obtain(subject, { grant: "other", ttlMs: ttl(index) })));
        const outside = await Promise.all(Array.from({ length: 30 }, () => obtain(subject, { ...OUTSIDE, grant: "mass" })));
        const mark = await store.revocations.mark(bucketOf(subject), { kind: "grant", name: "mass" }, clock(), MARKED);
        const done = await ended(bucketOf(subject), "grant", "mass", mark, 25);
        expect(new Set(done)).toEqual(new Set([...leases, ...outside]));
        for (const id of outside) expect(await store.leases.get(id)).toMatchObject({ state: "revoking" });
      });
      it.each([
        ["a small", 130],
        ["a large", 700],
      ])("clean up %s workload page by page without missing one", async (_size, count) => {
        const subject = aSubject();
        const covered: LeaseId[] = [];
        for (let from = 0; from < count; from += 100)
          covered.push(...(await Promise.all(Array.from({ length: Math.min(100, count - from) }, () => obtain(subject)))));
        const outside = await Promise.all(Array.from({ length: 30 }, () => obtain(subject, OUTSIDE)));
        covered.push(...outside);
        const mark = await store.revocations.mark(bucketOf(subject), { kind: "workload", name: subject }, clock(), MARKED);
        clock.advance({ ms: 1 });
        const since = await Promise.all(Array.from({ length: 20 }, () => obtain(subject)));
        const done = await ended(bucketOf(subject), "workload", subject, mark, 25);
        expect([...new Set(done)].sort()).toEqual([...covered].sort());
        // the index shrinks while it is walked: what stays in it because it waits for its target may be met again
        const waiting = new Set<string>(outside);
        const closed = done.filter((id) => !waiting.has(id));
        expect(new Set(closed).size).toBe(closed.length);
        for (const id of since) expect(await store.leases.isLive(id, undefined)).toBe(true);
      });
      const ended = async (
        bucket: number,
        kind: "grant" | "issuer" | "key" | "workload",
        name: string,
        mark: number,
        limit: number,
      ): Promise<string[]> => {
        const ids: string[] = [];
        let cursor: string | undefined;
        do {
          const page = await store.revocations.endMarked(bucket, { kind, name }, mark, ENDED, limit, cursor);
          ids.push(...page.endings.map(({ leaseId }) => leaseId));
          cursor = page.nextCursor;
        } while (cursor !== undefined);
        return ids;
      };
      it("refuse issue while a lock holds, and no longer; releasing goes on", async () => {
        const subject = aSubject();
        const lease = await obtain(subject);
        const id: LockId = newId("lock", clock());
        const lock = {
          id,
          scope: { kind: "workload", name: subject },
          until: clock() + 60_000,
          reason: "INC-1",
          message: "call security",
          by: "ann",
          at: clock(),
        } as const;
        await store.revocations.addLock(lock, [subject], { action: "lock.added", principal: "operator:ann" });
        expect(await store.leases.open(openOrder(clock, subject))).toMatchObject({
          code: "locked",
          message: "call security",
          retryAfterMs: 60_000,
        });
        expect((await store.leases.end(lease, "released", ENDED))?.state).toBe("revoked");
        expect((await store.revocations.locks()).map((held) => held.id)).toContain(id);
        expect((await store.revocations.removeLock(id, { action: "lock.removed", principal: "operator:ann" }))?.id).toBe(id);
        await obtain(subject);
      });
      it("by display name cover every subject that bore it, and those to come", async () => {
        const [one, two, three] = [aSubject(), aSubject(), aSubject()];
        const name = "github/acme/shop";
        const named = (subject: string): Parameters<typeof openOrder>[2] => ({
          principal: { ...principalOf(subject, freshEvidence(clock())), workload: name },
        });
        await obtain(one, named(one));
        await obtain(two, named(two));
        expect([...(await store.revocations.subjectsOf(name))].sort()).toEqual([one, two].sort());
        const lock = {
          id: newId("lock", clock()),
          scope: { kind: "workload", name },
          until: clock() + 60_000,
          reason: "x",
          message: undefined,
          by: "ann",
          at: clock(),
        } as const;
        await store.revocations.addLock(lock, [one, two], { action: "lock.added", principal: "operator:ann" });
        expect(await store.leases.open(openOrder(clock, one))).toMatchObject({ code: "locked" });
        expect(await store.leases.open(openOrder(clock, three, named(three)))).toMatchObject({ code: "locked" });
        clock.advance({ minutes: 2 });
        await obtain(three, named(three));
        expect(await store.revocations.locks()).toEqual([]);
      });
      it("keep a job's progress until somebody has finished it", async () => {
        const id: RevocationId = newId("rev", clock());
        const job = {
          id,
          state: "marking",
          selector: { all: true },
          reason: "x",
          by: "ann",
          at: clock(),
          matched: 0,
          ended: 0,
          inForceAt: undefined,
          lockId: undefined,
          endings: [],
        } as const;
        await store.revocations.create(job, RETENTION);
        expect((await store.revocations.unfinished()).map((found) => found.id)).toContain(id);
        await store.revocations.progress(id, RETENTION, { state: "done", matched: 3, ended: 3, inForceAt: clock() });
        expect(await store.revocations.get(id)).toMatchObject({ state: "done", matched: 3 });
        expect((await store.revocations.unfinished()).map((found) => found.id)).not.toContain(id);
        expect((await store.revocations.list(undefined, 100)).items.map((found) => found.id)).toContain(id);
      });
    });

    describe("looking things up", () => {
      it("finds a lease by the hash of its credential", async () => {
        const id = await obtain(aSubject());
        const sha = hash("sha256", "the credential", "hex");
        await store.leases.noteCredential(id, sha, clock() + 600_000);
        expect((await store.leases.list({ credentialSha256: sha }, undefined, 10)).items.map((lease) => lease.id)).toEqual([id]);
        expect((await store.leases.list({ credentialSha256: hash("sha256", "another", "hex") }, undefined, 10)).items).toEqual([]);
      });
      it("walks all live leases page by page, each once", async () => {
        const made = await Promise.all(Array.from({ length: 90 }, (_, index) => obtain(`walker:${index % 30}`, { grant: "walked" })));
        const seen: string[] = [];
        let cursor: string | undefined;
        do {
          const page = await store.leases.list({ grant: "walked" }, cursor, 7);
          seen.push(...page.items.map((lease) => lease.id));
          cursor = page.nextCursor;
        } while (cursor !== undefined);
        expect(seen.sort()).toEqual([...made].sort());
      });
      it("refuses a cursor that is not its own", async () => {
        await expect(store.leases.list({}, "nonsense", 7)).rejects.toMatchObject({ code: "invalid_request" });
      });
    });

    describe("the feed", () => {
      it("tells of a lease that ends before its exp, once, and of none that simply expires", async () => {
        const subject = aSubject();
        const bucket = bucketOf(subject);
        const before = (await store.feed.positions())[bucket] ?? 0;
        const [ended, expiring] = [await obtain(subject), await obtain(subject, { ttlMs: 5000 })];
        await store.leases.end(ended, "released", ENDED);
        await store.leases.end(ended, "released", ENDED);
        clock.advance({ seconds: 6 });
        await store.leases.claimDue(bucket, 100, "allowed");
        const heard = await store.feed.read(bucket, before, 100);
        expect(heard).toMatchObject({ gap: false, position: before + 1, entries: [{ kind: "lease", lease: ended, grant: "deploy" }] });
        expect((await store.leases.get(expiring))?.endedBy).toBe("expiry");
        const all = await store.feed.snapshot(bucket, undefined, 1000);
        expect(all.entries).toContainEqual(heard.entries[0]);
        expect(all.position).toBe(heard.position);
      });
      it("tells of a mark once, and not of each lease under it", async () => {
        const subject = aSubject();
        const bucket = bucketOf(subject);
        const scope = { kind: "workload", name: subject } as const;
        for (let count = 0; count < 5; count++) await obtain(subject);
        const before = (await store.feed.positions())[bucket] ?? 0;
        const at = await store.revocations.mark(bucket, scope, clock(), MARKED);
        await store.revocations.endMarked(bucket, scope, at, ENDED, 100, undefined);
        const page = await store.feed.read(bucket, before, 100);
        expect(page).toMatchObject({ position: before + 1, gap: false, wentBack: false });
        expect(page.entries).toEqual([{ kind: "mark", scope, at }]);
        // who comes back finds what it read last, and what is missing where a hole was left
        expect(await store.feed.read(bucket, page.position, 100)).toMatchObject({
          entries: [],
          gap: false,
          at: { kind: "mark", scope, at },
        });
        await store.feed.skip(bucket, page.position);
        expect(await store.feed.read(bucket, page.position, 100)).toMatchObject({ entries: [], gap: true, wentBack: false });
        expect((await store.feed.read(bucket, page.position + 9, 100)).wentBack).toBe(true);
        expect((await store.feed.snapshot(bucket, undefined, 1000)).entries).toContainEqual({ kind: "mark", scope, at });
      });
      it("forgets what has expired, says when it has forgotten what was asked for, and hints at what is new", async () => {
        const subject = aSubject();
        const bucket = bucketOf(subject);
        let lease: LeaseId | undefined;
        const hinted = new Promise<FeedHint>(
          (resolve) =>
            void store.feed
              .hints((hint) => (hint.bucket === bucket ? resolve(hint) : undefined))
              .then(async (stop) => {
                lease = await obtain(subject);
                await store.leases.end(lease, "released", ENDED);
                await hinted;
                await stop();
              }),
        );
        const hint = await hinted;
        // What came alone comes with the hint, as it would be read.
        expect(hint.next?.entry).toMatchObject({ kind: "lease", lease, grant: "deploy" });
        const { entries, position } = await store.feed.read(bucket, (hint.next?.number ?? 0) - 1, 1);
        expect(hint.next).toEqual({ number: position, entry: entries[0] });
        clock.advance({ minutes: 20 });
        expect((await store.feed.snapshot(bucket, undefined, 1000)).entries.filter(({ kind }) => kind === "lease")).toEqual([]);
        expect((await store.feed.read(bucket, 1_000_000, 10)).gap).toBe(true);
      });
      it("gives a snapshot page by page", async () => {
        const subject = aSubject();
        const bucket = bucketOf(subject);
        const ids = await Promise.all(Array.from({ length: 30 }, () => obtain(subject, { grant: "many" })));
        await Promise.all(ids.map((id) => store.leases.end(id, "released", ENDED)));
        const seen: string[] = [];
        let cursor: string | undefined;
        do {
          const page = await store.feed.snapshot(bucket, cursor, 7);
          for (const entry of page.entries) if (entry.kind === "lease" && entry.grant === "many") seen.push(entry.lease);
          cursor = page.nextCursor;
        } while (cursor !== undefined);
        expect(seen.sort()).toEqual([...ids].sort());
      });
    });

    describe("a hold", () => {
      it("stops issuing in every bucket until it is cleared", async () => {
        const subject = aSubject();
        await store.hold.set({ action: "hold.set", principal: "broker" });
        expect(await store.leases.open(openOrder(clock, subject))).toMatchObject({ code: "on_hold" });
        expect((await store.hold.show()).buckets).toHaveLength(64);
        await store.hold.clear({ action: "hold.cleared", principal: "operator:ann" });
        await obtain(subject);
      });
      it("lets go of a time mark ahead of the clock", async () => {
        const subject = aSubject();
        clock.advance({ hours: 1 });
        await obtain(subject);
        clock.advance({ hours: -1 });
        expect(await store.leases.open(openOrder(clock, subject))).toMatchObject({ code: "clock_disagrees" });
        await store.hold.clear({ action: "hold.cleared", principal: "operator:ann" });
        await obtain(subject);
      });
    });

    it("numbers audit records without a gap and trims only what was exported", async () => {
      const bucket = bucketOf(aSubject());
      await store.audit.append(bucket, { action: "broker.started", principal: "broker" });
      const rows = await store.audit.read(bucket, 0, 10_000);
      expect(rows.map((row) => row.seq)).toEqual(rows.map((_, index) => index + 1));
      const waiting = await store.audit.waiting(bucket, rows.length - 1, 10);
      expect(waiting.map((entry) => ({ at: entry.at, record: entry.record() }))).toEqual([
        { at: Date.parse(rows.at(-1)?.at ?? ""), record: rows.at(-1) },
      ]);
      expect((await store.audit.state(bucket)).lastSeq).toBe(rows.length);
      await store.audit.trim(bucket, rows.length - 1);
      expect((await store.audit.read(bucket, 0, 10)).map((row) => row.seq)).toEqual([rows.length]);
    });

    it("lets one exporter work at a time, with a rising fence", async () => {
      const first = await store.audit.lock("a", 60_000);
      expect(first).toBeDefined();
      expect(await store.audit.lock("b", 60_000)).toBeUndefined();
      expect(await store.audit.lock("a", 60_000)).toEqual(first);
      await store.audit.unlock("a");
      expect((await store.audit.lock("b", 60_000))?.fence).toBe((first?.fence ?? 0) + 1);
      await store.audit.unlock("b");
    });

    it("never loses a lease: what was opened is in some state", async () => {
      const { byState, opened: made } = await store.leases.counts();
      expect(Object.values(byState).reduce((sum, count) => sum + count, 0)).toBe(made);
      expect(made).toBeGreaterThan(500);
    });
  });
}
