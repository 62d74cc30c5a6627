import { describe, expect, it } from "@jest/globals";
import { startRevocation } from "../../support/broker.ts";
import { fakeClock } from "../../support/clock.ts";
import { DATABASE, openShop } from "../../support/shop.ts";
import { testTarget } from "../../support/test-issuers.ts";

describe("a revocation of many leases at a target", () => {
  it("leaves no credential there, though the target confirms while the walk goes on", async () => {
    await using target = await testTarget();
    await using shop = await openShop({ issuers: [target.issuer], more: DATABASE, clock: fakeClock() });
    for (let made = 0; made < 480; made += 1) await shop.exchange({ grant: "database" });
    await shop.broker.settled();
    const job = await startRevocation(shop.broker, { kind: "workload", name: "github/octo-org/octo-repo" });
    await shop.broker.settled();
    expect(await target.alive()).toEqual([]);
    expect(await shop.broker.services.revocations.get(job.id)).toMatchObject({ state: "done", matched: 480, ended: 480 });
  }, 60_000);
});
