import { describe, expect, it } from "@jest/globals";
import { StintError } from "../../../domain/errors.ts";
import { startRevocation } from "../../support/broker.ts";
import { openShop } from "../../support/shop.ts";

describe("a revocation of which one bucket cannot be told", () => {
  it("is not answered as done, and is in force in every other bucket", async () => {
    const marked = new Set<number>();
    await using shop = await openShop({
      wrapStore: (store) => ({
        ...store,
        revocations: {
          ...store.revocations,
          mark: async (bucket, ...rest) => {
            if (bucket === 0) throw new StintError("store_unavailable", "this bucket's primary is away");
            const at = await store.revocations.mark(bucket, ...rest);
            marked.add(bucket);
            return at;
          },
        },
      }),
    });
    const started = startRevocation(shop.broker, { kind: "grant", name: "deploy" });
    await expect(started).rejects.toMatchObject({ code: expect.stringMatching(/^(?:revocation_pending|store_unavailable)$/) });
    await shop.broker.settled();
    expect(marked.size).toBe(63);
  });
});
