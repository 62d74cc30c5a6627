import { describe, expect, it } from "@jest/globals";
import { RECEIPT_LEASES } from "../../../broker/tasks/receipt.ts";
import { recordKey } from "../../../store/keyspace.ts";
import { origin } from "../../support/broker.ts";
import { fakeClock } from "../../support/clock.ts";
import { openShop } from "../../support/shop.ts";

/** More than V8 takes as arguments of one call. */
const LEASES = 150_000;

describe("a task of very many leases", () => {
  it("has a receipt that names a thousand and counts the rest, whoever ended it", async () => {
    const clock = fakeClock();
    await using shop = await openShop({ clock });
    const { tasks, revocations } = shop.broker.services;
    const { task, taskToken } = await tasks.open({
      evidence: await shop.evidence(),
      purpose: undefined,
      ttlMs: undefined,
      heartbeatMs: undefined,
      parent: undefined,
      bind: undefined,
      idempotency: undefined,
      origin: origin(),
    });
    const { client } = shop.broker.store;
    for (let from = 0; from < LEASES; from += 5_000) {
      const rows: string[] = [];
      // as `write_closed` leaves them; the last to end is the last to die
      for (let index = from; index < from + 5_000; index++)
        rows.push(String(index).padStart(26, "0"), JSON.stringify(["jwt", "revoked", "e", clock(), clock() + index, 1, "", "deploy", 1]));
      await client.hset(recordKey("tl", task.id), ...rows);
    }
    const receipt = await tasks.complete({ taskId: task.id, taskToken, outcome: "success", by: "complete", origin: origin() });
    expect(receipt).toMatchObject({ settled: true, more: LEASES - RECEIPT_LEASES, deadBy: clock() + LEASES - 1 });
    expect(receipt.leases).toHaveLength(RECEIPT_LEASES);

    const selector = { kind: "task", name: task.id } as const;
    const operator = { name: "sam", role: "responder" } as const;
    const job = await revocations.start({ selector, reason: "INC-412", lockMs: undefined, operator, origin: origin() });
    expect(job.receipt.leases).toHaveLength(RECEIPT_LEASES);
    await shop.broker.settled();
    const done = await revocations.get(job.id);
    expect(done).toMatchObject({
      state: "done",
      matched: LEASES,
      ended: LEASES,
      receipt: { settled: true, more: LEASES - RECEIPT_LEASES },
    });
  }, 60_000);
});
