import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { deathOf, delayOf, type Knower } from "../../../broker/feed/dead-by.ts";
import { BUCKETS, bucketOfId, newId } from "../../../domain/ids.ts";
import type { LeaseEnding } from "../../../store/api.ts";

const ENDED = 1_795_000_000_000;
const leaseId = newId("lease", ENDED - 60_000);
const ending = (change: Partial<LeaseEnding> = {}): LeaseEnding => ({
  leaseId,
  issuer: "jwt",
  outcome: "revoked",
  revocation: "verifier_checked",
  endedAt: ENDED,
  expiresAt: ENDED + 600_000,
  tookMs: 0,
  reason: undefined,
  grant: "ship",
  announced: 7,
  ...change,
});
const positionAt = (number: number, asOf = ENDED - 1): Knower["position"] => ({
  vector: Array.from({ length: BUCKETS }, (_, bucket) => (bucket === bucketOfId(leaseId) ? number : 0)),
  asOf,
});
const knower = (change: Partial<Knower> = {}): Knower => ({
  at: ENDED + 100,
  maxStalenessMs: 15_000,
  position: positionAt(7),
  ackedAt: ENDED + 80,
  ...change,
});

describe("when a lease that verifiers check was dead", () => {
  it("is its ending where no instance was ever seen", () => {
    expect(deathOf(ending(), [], ENDED + 1)).toEqual({ deadBy: ENDED, final: true, awaited: false });
  });

  it("is when the last instance said that it knows", () => {
    expect(deathOf(ending(), [knower(), knower({ ackedAt: ENDED + 120 })], ENDED + 200)).toEqual({
      deadBy: ENDED + 120,
      final: true,
      awaited: false,
    });
  });

  it("is the ending where the instance had applied it before its word was counted as new", () => {
    expect(deathOf(ending(), [knower({ ackedAt: ENDED - 5 })], ENDED + 200).deadBy).toBe(ENDED);
  });

  it("is the ending and its limit for an instance at work that has not spoken, which is waited for", () => {
    const death = deathOf(ending(), [knower({ position: positionAt(6) })], ENDED + 200);
    expect(death).toEqual({ deadBy: ENDED + 16_000, final: false, awaited: true });
  });

  it("is no longer open once that limit has passed, spoken or not", () => {
    expect(deathOf(ending(), [knower({ position: undefined })], ENDED + 16_000)).toEqual({
      deadBy: ENDED + 16_000,
      final: true,
      awaited: false,
    });
  });

  it("does not wait for an instance that is gone, but counts with what it was last fed", () => {
    const gone = knower({ at: ENDED - 10_000, position: positionAt(6) });
    expect(deathOf(ending(), [gone], ENDED + 200)).toEqual({ deadBy: ENDED + 12_000, final: false, awaited: false });
    expect(deathOf(ending(), [{ ...gone, at: ENDED - 60_000 }], ENDED + 200)).toEqual({ deadBy: ENDED, final: true, awaited: false });
  });

  it("knows by time what it can no longer tell by number", () => {
    const old = ending({ announced: undefined });
    expect(deathOf(old, [knower({ position: positionAt(0, ENDED + 2_000), ackedAt: ENDED + 2_500 })], ENDED + 3_000).deadBy).toBe(
      ENDED + 2_500,
    );
    expect(deathOf(old, [knower({ position: positionAt(99, ENDED + 1_999) })], ENDED + 3_000).deadBy).toBe(ENDED + 16_000);
  });

  it("is its own expiry at the latest", () => {
    expect(deathOf(ending({ expiresAt: ENDED + 3_000 }), [knower({ position: undefined })], ENDED + 1)).toEqual({
      deadBy: ENDED + 3_000,
      final: false,
      awaited: true,
    });
  });

  it("for any instances: never before the ending, never after the expiry, and one that speaks only makes it better", () => {
    const instance = fc.record({
      at: fc.integer({ min: ENDED - 100_000, max: ENDED + 100_000 }),
      maxStalenessMs: fc.integer({ min: 1_000, max: 60_000 }),
      number: fc.nat(14),
      ackedAt: fc.integer({ min: ENDED - 100_000, max: ENDED + 100_000 }),
    });
    fc.assert(
      fc.property(fc.array(instance, { maxLength: 8 }), fc.nat(120_000), fc.nat(7), (rows, later, index) => {
        const all = rows.map(({ number, ...row }): Knower => ({ ...row, position: positionAt(number) }));
        const death = deathOf(ending(), all, ENDED + later);
        expect(death.deadBy).toBeGreaterThanOrEqual(ENDED);
        expect(death.deadBy).toBeLessThanOrEqual(ENDED + 600_000);
        const limit = Math.max(0, ...all.map(({ maxStalenessMs }) => maxStalenessMs + 1_000));
        expect(death.deadBy).toBeLessThanOrEqual(ENDED + limit);
        const spoken = all.map((each, at) =>
          at === index && each.position?.vector[bucketOfId(leaseId)] !== undefined ? { ...each, position: positionAt(7) } : each,
        );
        if ((all[index]?.position?.vector[bucketOfId(leaseId)] ?? 7) < 7)
          expect(deathOf(ending(), spoken, ENDED + later).deadBy).toBeLessThanOrEqual(death.deadBy);
      }),
    );
  });
});

describe("how long a verifier may go on", () => {
  it("is its limit while it is fed, less the longer it is gone", () => {
    expect(delayOf(knower({ at: ENDED }), ENDED)).toBe(16_000);
    expect(delayOf(knower({ at: ENDED - 16_000 }), ENDED)).toBe(6_000);
    expect(delayOf(knower({ at: ENDED - 60_000 }), ENDED)).toBe(0);
  });
});
