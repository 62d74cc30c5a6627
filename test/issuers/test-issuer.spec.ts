import { describe, expect, it } from "@jest/globals";
import { leaseOf, nameFor, type NameForm } from "../../issuers/naming.ts";
import { newId } from "../../domain/ids.ts";
import { issuerContract, orderFor } from "../contract/issuer-contract.ts";
import { opens, testTarget } from "../support/test-issuers.ts";

const start = async () => {
  const target = await testTarget();
  return {
    target,
    issuer: target.issuer,
    settings: {},
    now: () => 1_000_000,
    works: (token: string) => opens(target, token),
    [Symbol.asyncDispose]: () => target[Symbol.asyncDispose](),
  };
};

issuerContract("test", start);

describe("the failpoints of the test issuer", () => {
  it.each([
    ["before", "make", false, "the target did not answer"],
    ["after", "make", true, "the target's answer was lost"],
    ["permanent", "make", false, "the target refuses our credentials"],
  ] as const)("fail %s the effect", async (how, deed, made, message) => {
    await using test = await start();
    test.target.fail("issue", how);
    const order = orderFor(test);
    await expect(test.issuer.issue(order, AbortSignal.timeout(1000))).rejects.toThrow(message);
    expect(await test.target.deeds(order.leaseId)).toEqual(made ? [deed] : []);
    await test.issuer.issue(order, AbortSignal.timeout(1000));
    expect(await test.target.alive()).toEqual([order.leaseId]);
  });

  it("stop a slow call at its deadline, without effect", async () => {
    await using test = await start();
    test.target.fail("issue", "slow");
    await expect(test.issuer.issue(orderFor(test), AbortSignal.timeout(20))).rejects.toThrow("took too long");
    expect(await test.target.alive()).toEqual([]);
  });

  it("stay while the target is down and end when it is healed", async () => {
    await using test = await start();
    const order = orderFor(test);
    await test.issuer.issue(order, AbortSignal.timeout(1000));
    test.target.goDown();
    await expect(
      test.issuer.revoke({ leaseId: order.leaseId, handle: undefined, expiresAt: order.expiresAt }, AbortSignal.timeout(1000)),
    ).rejects.toThrow("did not answer");
    test.target.heal();
    await test.target.removeBehindOurBack(order.leaseId);
    expect(
      await test.issuer.revoke({ leaseId: order.leaseId, handle: undefined, expiresAt: order.expiresAt }, AbortSignal.timeout(1000)),
    ).toBe("already_gone");
  });
});

describe("a name made at a target", () => {
  it.each<[NameForm, RegExp]>([
    ["plain", /^[a-z0-9_]+$/],
    ["dashed", /^[a-z0-9-]+$/],
    ["bare", /^[a-z0-9]+$/],
  ])("in the form %s fits in 32 characters and leads back to its lease", (form, letters) => {
    const lease = newId("lease", 1_800_000_000_000);
    const name = nameFor(lease, form);
    expect(name).toMatch(letters);
    expect(name.length).toBeLessThanOrEqual(32);
    expect(leaseOf(name, form)).toBe(lease);
  });

  it.each(["", "lease_", "postgres", "lease_!!", "lease_8zzzzzzzzzzzzzzzzzzzzzzzzz", "LEASE_01ARZ3NDEKTSV4RRFFQ69G5FAV"])(
    "by somebody else is not ours: %p",
    (name) => {
      expect(leaseOf(name, "plain")).toBeUndefined();
    },
  );
});
