import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { Secret } from "../../../domain/secret.ts";
import type { Task } from "../../../domain/task.ts";
import { origin } from "../../support/broker.ts";
import { fakeClock } from "../../support/clock.ts";
import { DATABASE, openShop, request, type Shop } from "../../support/shop.ts";
import { opens, testTarget, type TestTarget } from "../../support/test-issuers.ts";

describe("a task", () => {
  const clock = fakeClock();
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop({ clock });
  });
  afterAll(async () => {
    await shop[Symbol.asyncDispose]();
  });

  const open = async (
    change: { heartbeatMs?: number; ttlMs?: number; parent?: string; claims?: Record<string, unknown> } = {},
  ): Promise<{ task: Task; taskToken: Secret; joined: boolean }> =>
    shop.broker.services.tasks.open({
      evidence: await shop.evidence(change.claims),
      purpose: "nightly",
      ttlMs: change.ttlMs,
      heartbeatMs: change.heartbeatMs,
      parent: change.parent,
      idempotency: undefined,
      origin: origin("POST /v1/tasks"),
    });
  const credential = (task: Task, taskToken: Secret, change: object = {}) =>
    shop.broker.services.tasks.credential({ ...request("deploy"), grant: "deploy", taskId: task.id, taskToken, ...change });
  const complete = (task: Task, taskToken: Secret) =>
    shop.broker.services.tasks.complete({ taskId: task.id, taskToken, outcome: "success", by: "complete", origin: origin() });

  it("gives credentials to whoever holds its token", async () => {
    const { task, taskToken } = await open({ ttlMs: 3_600_000 });
    expect(task).toMatchObject({ state: "open", purpose: "nightly", expiresAt: clock() + 3_600_000 });
    expect(await credential(task, taskToken)).toMatchObject({ grant: "deploy", limitedBy: "grant", task: { id: task.id } });
  });

  it("bounds the life of its credentials", async () => {
    const { task, taskToken } = await open({ ttlMs: 60_000 });
    expect(await credential(task, taskToken)).toMatchObject({ limitedBy: "task", expiresAt: task.expiresAt });
  });

  it("is joined by the same evidence value, whichever way it comes", async () => {
    const claims = { run_id: "9", run_attempt: "1", check_run_id: "9" };
    const first = await open({ claims });
    const second = await open({ claims });
    const exchanged = await shop.exchange({ evidence: await shop.evidence(claims) });
    expect([first.joined, second.joined]).toEqual([false, true]);
    expect([second.task.id, exchanged.task.id]).toEqual([first.task.id, first.task.id]);
  });

  it("is nobody else's: a foreign token and an unknown id get the same answer", async () => {
    const mine = await open();
    const other = await open();
    const foreign = await shop.broker.services.tasks
      .get(mine.task.id, { kind: "bearer", token: other.taskToken }, origin())
      .catch((error: unknown) => error);
    const unknown = await shop.broker.services.tasks
      .get("task_01jzzzzzzz0000000000000000", { kind: "bearer", token: other.taskToken }, origin())
      .catch((error: unknown) => error);
    expect(foreign).toMatchObject({ code: "not_found" });
    expect((unknown as Error).message).toBe((foreign as Error).message);
    await expect(credential(mine.task, new Secret("x.y.z"))).rejects.toMatchObject({ code: "unauthenticated" });
    await expect(
      open().then(async ({ taskToken }) =>
        shop.broker.services.tasks.open({
          evidence: taskToken,
          purpose: undefined,
          ttlMs: undefined,
          heartbeatMs: undefined,
          parent: undefined,
          idempotency: undefined,
          origin: origin(),
        }),
      ),
    ).rejects.toMatchObject({ code: "invalid_identity" });
  });

  it("ends every credential under it, and says so twice alike", async () => {
    const { task, taskToken } = await open();
    const [one, two] = [await credential(task, taskToken), await credential(task, taskToken)];
    const receipt = await complete(task, taskToken);
    expect(receipt).toMatchObject({ task: task.id, endedBy: "complete", settled: true, deadBy: clock() });
    expect(receipt.leases.map(({ leaseId, outcome, revocation }) => `${leaseId} ${outcome} ${revocation}`).toSorted()).toEqual(
      [one, two].map(({ lease }) => `${lease.id} revoked verifier_checked`).toSorted(),
    );
    clock.advance({ seconds: 3 });
    expect(await complete(task, taskToken)).toEqual(receipt);
    expect((await shop.broker.services.tasks.get(task.id, { kind: "bearer", token: taskToken }, origin())).receipt).toEqual(receipt);
    await expect(credential(task, taskToken)).rejects.toMatchObject({ code: "task_ended" });
    await expect(shop.broker.services.tasks.heartbeat(task.id, taskToken, origin())).rejects.toMatchObject({ code: "task_ended" });
  });

  it("once ended is not opened again by the same value", async () => {
    const claims = { run_id: "10", run_attempt: "1", check_run_id: "10" };
    const { task, taskToken } = await open({ claims });
    await complete(task, taskToken);
    await expect(open({ claims })).rejects.toMatchObject({ code: "task_ended" });
    await expect(shop.exchange({ evidence: await shop.evidence(claims) })).rejects.toMatchObject({ code: "task_ended" });
  });

  it("says of a token that nobody checks until when it still works", async () => {
    const { task, taskToken } = await open();
    const issued = await credential(task, taskToken, { grant: "few" });
    const receipt = await complete(task, taskToken);
    expect(receipt.leases).toMatchObject([
      { leaseId: issued.lease.id, outcome: "dead_by", revocation: "expiry_only", deadBy: issued.expiresAt },
    ]);
    expect(receipt).toMatchObject({ settled: true, deadBy: issued.expiresAt });
  });

  it("ends with its parent, and lives no longer", async () => {
    const parent = await open({ ttlMs: 600_000 });
    const child = await open({ parent: parent.task.id, ttlMs: 3_600_000 });
    expect(child.task).toMatchObject({ parent: parent.task.id, expiresAt: parent.task.expiresAt });
    const issued = await credential(child.task, child.taskToken);
    const receipt = await complete(parent.task, parent.taskToken);
    expect(receipt.leases.map(({ leaseId }) => leaseId)).toEqual([issued.lease.id]);
    expect((await shop.broker.store.tasks.get(child.task.id))?.state).toBe("ended");
    await expect(open({ parent: parent.task.id })).rejects.toMatchObject({ code: "task_ended" });
  });

  it("that was asked to be short and has ended does not come back for the same run", async () => {
    const claims = { run_id: "777", check_run_id: "9" };
    const { task, taskToken } = await open({ ttlMs: 5_000, claims });
    await complete(task, taskToken);
    clock.advance({ seconds: 6 });
    await expect(open({ claims })).rejects.toMatchObject({ code: "task_ended" });
    await expect(shop.exchange({ evidence: await shop.evidence(claims) })).rejects.toMatchObject({ code: "task_ended" });
    clock.advance({ hours: 6 });
    expect((await open({ claims })).task.id).not.toBe(task.id);
  });

  it("that misses a heartbeat is ended by the sweeper, as that", async () => {
    const { task, taskToken } = await open({ heartbeatMs: 30_000 });
    const issued = await credential(task, taskToken);
    clock.advance({ seconds: 20 });
    await shop.broker.services.tasks.heartbeat(task.id, taskToken, origin());
    clock.advance({ seconds: 20 });
    await shop.broker.sweep();
    expect((await shop.broker.store.tasks.get(task.id))?.state).toBe("open");
    clock.advance({ seconds: 20 });
    await shop.broker.sweep();
    expect(await shop.broker.store.tasks.get(task.id)).toMatchObject({ state: "ended", endedBy: "heartbeat" });
    expect(await shop.broker.store.leases.get(issued.lease.id)).toMatchObject({ state: "revoked", endedBy: "heartbeat" });
  });

  it("that reaches its deadline is ended by the sweeper, as that, and its receipt can still be read", async () => {
    const { task, taskToken } = await open({ ttlMs: 60_000 });
    await credential(task, taskToken, { ttlMs: 30_000 });
    clock.advance({ seconds: 61 });
    await shop.broker.sweep();
    const { receipt } = await shop.broker.services.tasks.get(task.id, { kind: "bearer", token: taskToken }, origin());
    expect(receipt).toMatchObject({ endedBy: "deadline", settled: true });
  });
});

describe("a task whose credentials live at a target", () => {
  let shop: Shop;
  let target: TestTarget;
  const clock = fakeClock();
  beforeEach(async () => {
    const made = await testTarget();
    target = made;
    shop = await openShop({ clock, issuers: [made.issuer], more: DATABASE, random: () => 0.5 });
  });
  afterEach(async () => {
    await shop[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
  });

  it("is revoked there before the receipt says so", async () => {
    const issued = await shop.exchange({ grant: "database" });
    expect(await opens(target, issued.credential.token.reveal())).toBe(true);
    const receipt = await shop.broker.services.tasks.complete({
      taskId: issued.task.id,
      taskToken: issued.taskToken,
      outcome: "success",
      by: "exit",
      origin: origin(),
    });
    expect(receipt).toMatchObject({
      endedBy: "exit",
      settled: true,
      leases: [{ leaseId: issued.lease.id, outcome: "revoked", revocation: "immediate" }],
    });
    expect(await target.alive()).toEqual([]);
  });

  it("is not called settled while the target is unreachable, and settles by itself", async () => {
    const issued = await shop.exchange({ grant: "database" });
    target.goDown();
    const complete = () =>
      shop.broker.services.tasks.complete({
        taskId: issued.task.id,
        taskToken: issued.taskToken,
        outcome: "success",
        by: "complete",
        origin: origin(),
      });
    expect(await complete()).toMatchObject({ settled: false, deadBy: undefined, leases: [{ outcome: "revoking" }] });
    expect(await shop.broker.store.leases.get(issued.lease.id)).toMatchObject({
      state: "revoking",
      attempts: 1,
      lastError: expect.stringContaining("did not answer"),
    });
    target.heal();
    clock.advance({ seconds: 5 });
    await shop.broker.sweep();
    await shop.broker.settled();
    expect(await complete()).toMatchObject({ settled: true, leases: [{ outcome: "revoked" }] });
  });
});
