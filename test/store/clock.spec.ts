import { describe, expect, it } from "@jest/globals";
import { systemClock } from "../../domain/time.ts";
import { sampleClock } from "../../store/clock.ts";
import { connect } from "../../store/connect.ts";
import { createGate } from "../../broker/gate.ts";
import { startRedis } from "../support/redis.ts";

describe("the store's clock", () => {
  it("agrees with the machine's, disagrees beyond two seconds, and says so when it has not been compared lately", async () => {
    await using redis = await startRedis();
    const connection = await connect(redis.url);
    let [ahead, ms] = [0, performance.now()];
    const clock = sampleClock(
      connection,
      () => systemClock() + ahead,
      () => ms,
    );
    const gate = createGate({
      draining: () => false,
      onHold: () => false,
      storeHeard: () => clock.offsetMs() !== undefined,
      clockAgrees: () => clock.agreed(),
      auditHealthy: () => true,
      storeSafe: () => true,
    });
    const refusal = (): unknown => {
      try {
        gate.require();
        return "open";
      } catch (error) {
        return (error as { readonly code: string }).code;
      }
    };
    try {
      await clock.sample();
      expect(Math.abs(clock.offsetMs() ?? Number.NaN)).toBeLessThan(500);
      expect([clock.agreed(), refusal()]).toEqual([true, "open"]);
      ahead = 5_000;
      await clock.sample();
      expect(clock.offsetMs()).toBeGreaterThan(4_000);
      expect([clock.agreed(), refusal()]).toEqual([false, "clock_disagrees"]);
      ahead = 0;
      await clock.sample();
      ms += 10_001; // nobody compared since
      expect([clock.agreed(), clock.offsetMs(), refusal()]).toEqual([false, undefined, "store_unavailable"]);
    } finally {
      connection.client.disconnect();
    }
  });
});
