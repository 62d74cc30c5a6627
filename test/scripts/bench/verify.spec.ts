import { describe, expect, it } from "@jest/globals";
import { measureVerify } from "../../../scripts/bench/verify.ts";

describe("the benchmark of the verifier", () => {
  it("measures what it says, on tokens that are honoured and one that is refused", async () => {
    const rows = await measureVerify({ rounds: 1, tokens: 100, revoked: 10_000, say: () => undefined });
    expect(rows.map(({ name }) => name)).toEqual([
      "first sight beside bare jwtVerify",
      "seen before beside bare jwtVerify",
      "jose jwtVerify, bare",
      "first sight, with the feed",
      "seen before, with the feed",
      "10000 revoked leases in memory",
      "look-up among them",
      "longest addition",
      "a route decision among 100 routes",
    ]);
    for (const { figure } of rows) expect(figure.median).toBeGreaterThan(0);
    expect(rows.find(({ unit }) => unit === "bytes")?.met).toBe(true);
  });
});
