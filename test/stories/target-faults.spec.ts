import { describe, expect, it } from "@jest/globals";
import { TARGET_FAULTS } from "../support/faults/faults.ts";

// The long forms are `npm run faults -- all`.
describe("what is promised holds through", () => {
  it.each(TARGET_FAULTS.map(({ id, what, run }) => ({ id, what, run })))(
    "$id: $what",
    async ({ run }) => {
      const { broken } = await run("short", () => undefined);
      expect(broken).toEqual([]);
    },
    180_000,
  );
});
