import { describe, expect, it } from "@jest/globals";
import { createUnverified } from "../../../broker/denials/unverified.ts";
import type { Parts } from "../../../broker/parts.ts";
import { StintError } from "../../../domain/errors.ts";
import type { DenialRecord } from "../../../store/api.ts";
import { origin } from "../../support/broker.ts";
import { fakeClock } from "../../support/clock.ts";

describe("refusals of evidence, while the store is away", () => {
  it("wait for it, a thousand of them; the rest is counted", async () => {
    const written: DenialRecord[] = [];
    let [counted, away] = [0, true];
    const recordUnverified = async (batch: readonly DenialRecord[], uncounted: number): Promise<void> => {
      if (away) throw new StintError("store_unavailable", "away");
      written.push(...batch);
      counted += uncounted;
    };
    const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
    const parts = { store: { denials: { recordUnverified } }, now: fakeClock(), log } as unknown as Pick<Parts, "store" | "now" | "log">;
    const unverified = createUnverified(parts);
    const refuse = (): string | undefined => unverified.refuse(new StintError("invalid_identity", "no"), origin()).facts.denialId;
    const first = refuse();
    await expect(unverified.flush()).rejects.toMatchObject({ code: "store_unavailable" });
    for (let count = 0; count < 1_004; count++) refuse();
    await expect(unverified.flush()).rejects.toMatchObject({ code: "store_unavailable" });
    away = false;
    await unverified.flush();
    expect(written).toHaveLength(1_000);
    expect(written[0]?.id).toBe(first);
    expect(counted).toBe(5);
    await unverified.flush();
    expect([written.length, counted]).toEqual([1_000, 5]);
  });
});
