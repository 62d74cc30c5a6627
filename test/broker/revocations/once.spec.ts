import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { decodeJwt } from "jose";
import type { IdempotencyHint, Operator, Origin, Revocation } from "../../../broker/services.ts";
import type { Lock } from "../../../store/api.ts";
import { origin } from "../../support/broker.ts";
import { fakeClock, type FakeClock } from "../../support/clock.ts";
import { openShop, type Shop } from "../../support/shop.ts";

const sam = { name: "sam", role: "responder" } as const;
const under = (key: string, body = "body"): IdempotencyHint => ({ key, bodySha256: body });
const at = (route: string): Origin => ({ ...origin(), route });

describe("an idempotency key", () => {
  let shop: Shop;
  let clock: FakeClock;
  beforeEach(async () => {
    clock = fakeClock();
    shop = await openShop({ clock });
  });
  afterEach(async () => {
    await shop[Symbol.asyncDispose]();
  });

  const revoke = (idempotency: IdempotencyHint | undefined, grant = "deploy", operator: Operator = sam): Promise<Revocation> =>
    shop.broker.services.revocations.start({
      selector: { kind: "grant", name: grant },
      reason: "INC-412",
      lockMs: 60_000,
      operator,
      idempotency,
      origin: at("POST /v1/revocations"),
    });
  const lock = (idempotency: IdempotencyHint): Promise<Lock> =>
    shop.broker.services.locks.add({
      scope: { kind: "grant", name: "few" },
      ttlMs: 60_000,
      reason: "freeze",
      message: undefined,
      operator: sam,
      idempotency,
      origin: at("POST /v1/locks"),
    });
  const count = async (): Promise<number> => (await shop.broker.services.revocations.list(undefined, 100)).items.length;

  it("starts one revocation and sets one lock, however often it is asked", async () => {
    const issued = await shop.exchange();
    const first = await revoke(under("k"));
    await shop.broker.settled();
    const again = await revoke(under("k"));
    expect(again).toMatchObject({ id: first.id, state: "done", matched: 1, receipt: { leases: [{ leaseId: issued.lease.id }] } });
    expect(await count()).toBe(1);
    expect(await shop.broker.services.locks.list()).toHaveLength(1);
    expect((await revoke(under("k"), "deploy", { name: "mara", role: "responder" })).id).not.toBe(first.id);
    expect((await revoke(undefined)).id).not.toBe(first.id);
  });

  it("sets one lock, and answers it also when it was taken away since", async () => {
    const first = await lock(under("k"));
    expect(await lock(under("k"))).toEqual(first);
    expect(await shop.broker.services.locks.list()).toHaveLength(1);
    await shop.broker.services.locks.remove(first.id, sam, origin());
    expect(await lock(under("k"))).toEqual(first);
    expect(await shop.broker.services.locks.list()).toHaveLength(0);
  });

  it("is refused with another body, and while the first request is under way", async () => {
    const both = await Promise.allSettled([lock(under("k")), lock(under("k"))]);
    expect(both.filter(({ status }) => status === "rejected")).toMatchObject([{ reason: { code: "in_flight" } }]);
    expect(await shop.broker.services.locks.list()).toHaveLength(1);
    await expect(lock(under("k", "another"))).rejects.toMatchObject({ code: "idempotency_mismatch" });
  });

  it("is free again after a request that came to nothing", async () => {
    const gone = (): Promise<Revocation> =>
      shop.broker.services.revocations.start({
        selector: { kind: "lease", name: "lease_01jd8v2k6wfq7g2m9x4t0c5h3r" },
        reason: "x",
        lockMs: undefined,
        operator: sam,
        idempotency: under("k"),
        origin: at("POST /v1/revocations"),
      });
    await expect(gone()).rejects.toMatchObject({ code: "not_found" });
    await expect(gone()).rejects.toMatchObject({ code: "not_found" });
  });

  it("renews a lease once, and signs the same token again", async () => {
    const { lease, taskToken } = await shop.exchange();
    const other = await shop.exchange();
    const renew = (leaseId: string, token: typeof taskToken): Promise<Record<string, unknown>> =>
      shop.broker.services.leases
        .renew({ leaseId, taskToken: token, ttlMs: undefined, idempotency: under("k"), origin: at("POST /v1/leases/{id}/renew") })
        .then(({ credential }) => decodeJwt(credential.token?.reveal() ?? ""));
    const first = await renew(lease.id, taskToken);
    clock.advance({ minutes: 1 });
    expect(await renew(lease.id, taskToken)).toMatchObject({ jti: first["jti"], exp: first["exp"], lease_id: lease.id });
    expect(await renew(other.lease.id, other.taskToken)).toMatchObject({ lease_id: other.lease.id });
  });
});
