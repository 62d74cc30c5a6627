import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { bucketOfId } from "../../domain/ids.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { openOrder, storeClock } from "../support/orders.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const OUTSIDE = { state: "pending", issuer: "database", revocation: "immediate", keyId: undefined } as const;
const ENDED = { action: "lease.ended", principal: "test" } as const;

describe("a credential that is finished after its lease was ended", () => {
  let redis: TestRedis;
  let store: OpenedStore;
  let clock: FakeClock;
  let subjects = 0;
  const pending = async () => {
    const order = openOrder(clock, `github:${(subjects += 1)}`, OUTSIDE);
    await store.leases.open(order);
    return order.leaseId;
  };

  beforeAll(async () => {
    redis = await startRedis();
    clock = fakeClock();
    store = await openStore({ url: redis.url, clock: storeClock(clock) });
  }, 60_000);
  afterAll(async () => {
    await store.close();
    await redis.stop();
  });

  it("leaves its handle with the lease, so that whoever ends it can name it", async () => {
    const id = await pending();
    await store.leases.end(id, "revoked", ENDED);
    expect(await store.leases.activate(id, { handle: "sealed", externalName: undefined })).toBe("already_ended");
    const { claimed } = await store.leases.claimDue(bucketOfId(id), 10, "allowed");
    expect(claimed).toMatchObject([{ lease: { id, state: "revoking" }, handle: "sealed" }]);
  });

  it("is not called gone before its issuer can have finished", async () => {
    const id = await pending();
    await store.leases.end(id, "revoked", ENDED);
    expect((await store.leases.claimDue(bucketOfId(id), 10, "allowed")).claimed).toEqual([]);
    expect(await store.leases.claim(id)).toBeUndefined();
    clock.advance({ seconds: 30 });
    expect((await store.leases.claimDue(bucketOfId(id), 10, "allowed")).claimed).toMatchObject([{ lease: { id } }]);
  });

  it("may be tried at once when its issuer says that it failed", async () => {
    const id = await pending();
    await store.leases.end(id, "issue_failed", ENDED);
    expect(await store.leases.claim(id)).toMatchObject({ lease: { id } });
  });

  it("may be tried at once when its issuer says so after somebody else had ended the lease", async () => {
    const id = await pending();
    await store.leases.end(id, "revoked", ENDED);
    await store.leases.end(id, "issue_failed", ENDED);
    expect(await store.leases.claim(id)).toMatchObject({ lease: { id, endedBy: "revoked" } });
  });
});
