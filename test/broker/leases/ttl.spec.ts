import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { MAX_TTL_MS, MIN_TTL_MS, shortestTtl, type TtlBounds } from "../../../broker/leases/ttl.ts";

const MINUTE = 60_000;
const bounds = (change: Partial<TtlBounds> = {}): TtlBounds => ({
  askedMs: undefined,
  grant: { ttlMs: 10 * MINUTE, maxTtlMs: 30 * MINUTE },
  taskLeftMs: undefined,
  issuerMaxMs: MAX_TTL_MS,
  evidenceLeftMs: undefined,
  ...change,
});

describe("the lifetime of a credential", () => {
  it.each([
    ["is the grant's when nothing is asked", {}, 10 * MINUTE, "grant"],
    ["is what was asked when that is less", { askedMs: MINUTE }, MINUTE, "asked"],
    ["may be longer than the usual, up to the grant's maximum", { askedMs: 20 * MINUTE }, 20 * MINUTE, "asked"],
    ["is clipped to the grant's maximum", { askedMs: 90 * MINUTE }, 30 * MINUTE, "grant"],
    ["ends with the task", { taskLeftMs: 3 * MINUTE }, 3 * MINUTE, "task"],
    ["is no longer than its issuer can make it", { issuerMaxMs: 2 * MINUTE }, 2 * MINUTE, "issuer"],
    ["ends with a token of our own that was the evidence", { evidenceLeftMs: MINUTE }, MINUTE, "evidence"],
    ["is at least five seconds when less is asked", { askedMs: 1 }, MIN_TTL_MS, "asked"],
    ["is nothing when the evidence has ended", { evidenceLeftMs: -5 }, 0, "evidence"],
    ["names the first of equals", { askedMs: 30 * MINUTE, taskLeftMs: 30 * MINUTE }, 30 * MINUTE, "asked"],
  ] as const)("%s", (_name, change, ttlMs, limitedBy) => {
    expect(shortestTtl(bounds(change))).toEqual({ ttlMs, limitedBy });
  });

  it("never exceeds any of its limits", () => {
    const span = fc.integer({ min: 0, max: 2 * MAX_TTL_MS });
    const maybe = fc.option(span, { nil: undefined });
    fc.assert(
      fc.property(maybe, span, span, maybe, span, maybe, (askedMs, one, two, taskLeftMs, issuerMaxMs, evidenceLeftMs) => {
        const grant = { ttlMs: Math.min(one, two), maxTtlMs: Math.max(one, two) };
        const { ttlMs } = shortestTtl({ askedMs, grant, taskLeftMs, issuerMaxMs, evidenceLeftMs });
        const limits = [
          grant.maxTtlMs,
          MAX_TTL_MS,
          issuerMaxMs,
          taskLeftMs ?? Infinity,
          evidenceLeftMs ?? Infinity,
          askedMs === undefined ? grant.ttlMs : Math.max(askedMs, MIN_TTL_MS),
        ];
        return ttlMs >= 0 && limits.every((limit) => ttlMs <= limit);
      }),
    );
  });
});
