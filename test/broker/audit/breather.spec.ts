import { describe, expect, it } from "@jest/globals";
import { breather } from "../../../broker/audit/breather.ts";

/** A watch that is set by hand, and notes every pause; a pause takes its time. */
function watch() {
  const paused: number[] = [];
  const at = { ms: 0 };
  const pause = async (ms: number): Promise<void> => {
    paused.push(ms);
    at.ms += ms;
  };
  return { paused, at, watch: { now: () => at.ms, pause } };
}

describe("a breather", () => {
  it("leaves others three times as long as the work before it took", async () => {
    const { paused, at, watch: told } = watch();
    const breathe = breather(0, told);
    for (const tookMs of [1, 2.5, 0]) {
      at.ms += tookMs;
      await breathe();
    }
    expect(paused).toEqual([3, 8, 0]);
  });

  it("is no longer than 25 ms, however long a piece took", async () => {
    const { paused, at, watch: told } = watch();
    const breathe = breather(2_500, told);
    at.ms += 400;
    await breathe();
    expect(paused).toEqual([25]);
  });

  it("does not dawdle when records have waited too long", async () => {
    const { paused, at, watch: told } = watch();
    const breathe = breather(2_501, told);
    at.ms += 10;
    await breathe();
    expect(paused).toEqual([0]);
  });
});
