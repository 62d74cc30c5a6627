import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { backoffMs, isStuck, MAX_BACKOFF_MS } from "../../../broker/sweeper/backoff.ts";

describe("the wait after a failed try", () => {
  it("doubles from four seconds on and stops at fifteen minutes", () => {
    const latest = (attempts: number): number => backoffMs(attempts, () => 0.999_999_9);
    expect([1, 2, 3, 9, 10, 1000].map((attempts) => Math.round(latest(attempts) / 1000))).toEqual([4, 8, 16, 900, 900, 900]);
  });

  it("is spread over half of its width, so that those who failed together are not tried together", () => {
    expect(backoffMs(5, () => 0.5)).toBe(48_000);
    expect(backoffMs(5, () => 0)).toBe(32_000);
  });

  it("leaves no lease stuck that waits for a target of an hour's absence, whatever the chance", () => {
    let [waited, tries] = [0, 0];
    for (; waited < 3_600_000; tries += 1) waited += backoffMs(tries, () => 0);
    expect(tries).toBeLessThan(20);
  });

  it("is never longer than the cap and never nothing", () => {
    fc.assert(
      fc.property(fc.integer({ min: -5, max: 10_000 }), fc.double({ min: 0, max: 0.999_999, noNaN: true }), (attempts, chance) => {
        const wait = backoffMs(attempts, () => chance);
        return wait >= 1_000 && wait <= MAX_BACKOFF_MS;
      }),
    );
  });
});

describe("a lease that failed again", () => {
  it.each([
    ["is tried on", { permanent: false, attempts: 19, dueForMs: 86_399_999 }, false],
    ["is for people when trying again cannot help", { permanent: true, attempts: 1, dueForMs: 0 }, true],
    ["is for people after twenty tries", { permanent: false, attempts: 20, dueForMs: 0 }, true],
    ["is for people after a day", { permanent: false, attempts: 2, dueForMs: 86_400_000 }, true],
  ])("%s", (_name, failure, stuck) => {
    expect(isStuck(failure)).toBe(stuck);
  });
});
