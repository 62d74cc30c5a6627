import { describe, expect, it } from "@jest/globals";
import { PermanentFailure, RetryableFailure, type Issuer } from "../../../domain/credential.ts";
import { fakeClock } from "../../support/clock.ts";
import { DATABASE, openShop } from "../../support/shop.ts";
import { testTarget, type TestParams } from "../../support/test-issuers.ts";

/** The test's target, where this goes wrong as long as it is set. */
async function shopWith(wrong: { issue?: Error | undefined; revoke?: Error | undefined }) {
  const clock = fakeClock();
  const target = await testTarget();
  const issuer: Issuer<TestParams> = {
    ...target.issuer,
    issue: async (order, signal) => {
      if (wrong.issue !== undefined) throw wrong.issue;
      return target.issuer.issue(order, signal);
    },
    revoke: async (order, signal) => {
      if (wrong.revoke !== undefined) throw wrong.revoke;
      return target.issuer.revoke(order, signal);
    },
  };
  const shop = await openShop({ clock, issuers: [issuer], more: DATABASE });
  return {
    clock,
    shop,
    ask: () => shop.exchange({ grant: "database", ttlMs: 60_000 }),
    sweep: async () => {
      await shop.broker.sweep();
      await shop.broker.settled();
    },
    [Symbol.asyncDispose]: async () => {
      await shop[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
    },
  };
}

describe("a target's breaker", () => {
  it("is not opened by what a target refuses one asker, however often", async () => {
    const wrong: { issue?: Error | undefined } = { issue: new PermanentFailure("the maker answered 422: no such thing") };
    await using it = await shopWith(wrong);
    for (let tries = 0; tries < 8; tries += 1) await expect(it.ask()).rejects.toMatchObject({ code: "issuer_unavailable" });
    wrong.issue = undefined;
    await expect(it.ask()).resolves.toMatchObject({ grant: "database" });
  });

  it.each([
    ["whose role only a person can clear", new PermanentFailure("was granted things directly")],
    ["in whose way somebody stands", new RetryableFailure("somebody holds a lock", { aboutOne: true })],
  ])("is not opened by leases %s, so that others are still made and ended", async (_, failure) => {
    const wrong: { revoke?: Error | undefined } = {};
    await using it = await shopWith(wrong);
    for (let made = 0; made < 8; made += 1) await it.ask();
    wrong.revoke = failure;
    it.clock.advance({ seconds: 61 });
    await it.sweep();
    await expect(it.ask()).resolves.toMatchObject({ grant: "database" });
  });

  it("is opened by a target that does not answer", async () => {
    await using it = await shopWith({ issue: new RetryableFailure("no answer") });
    for (let tries = 0; tries < 5; tries += 1) await expect(it.ask()).rejects.toThrow("could not make");
    await expect(it.ask()).rejects.toThrow("left alone");
  });
});
