import { describe, expect, it } from "@jest/globals";
import { measureFeed } from "../../scripts/bench/feed.ts";

describe("the benchmark of the feed", () => {
  it("tells every verifier beside a floor, and has a verifier refuse an ended and a marked lease", async () => {
    const said: string[] = [];
    const figures = await measureFeed({
      fsync: "off",
      profile: undefined,
      say: (text) => void said.push(text),
      verifiers: [1, 5],
      rounds: 4,
      leases: 2_000,
    });
    expect(figures.map(({ verifiers, rounds }) => [verifiers, rounds])).toEqual([
      [1, 4],
      [5, 4],
    ]);
    expect(said).toHaveLength(3);
    expect(figures[0]?.covered).toBe(2_000);
    for (const { floor, asked, ended, marked, refusedOne, refusedMark } of figures)
      for (const { p50, p99, max } of [floor, asked, ended, marked, refusedOne, refusedMark]) {
        expect(p50).toBeGreaterThan(0);
        expect(p99).toBeGreaterThanOrEqual(p50);
        expect(max).toBeGreaterThanOrEqual(p99);
      }
  }, 60_000);
});
