import { describe, expect, it } from "@jest/globals";
import { BROKER_FAULTS } from "../support/faults/faults.ts";

// The long forms are `npm run faults -- all`. F1 has a spec of its own.
describe("what is promised holds through", () => {
  it.each(BROKER_FAULTS.filter(({ id }) => id !== "F1").map(({ id, what, run }) => ({ id, what, run })))(
    "$id: $what",
    async ({ run }) => {
      const { broken } = await run("short", () => undefined);
      expect(broken).toEqual([]);
    },
    180_000,
  );
});
