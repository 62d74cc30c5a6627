import { describe, expect, it } from "@jest/globals";
import { measureFeed } from "../../scripts/bench/feed.ts";

describe("the benchmark of the feed", () => {
  it("tells every verifier, and says how long that took", async () => {
    const said: string[] = [];
    const figures = await measureFeed({
      fsync: "off",
      profile: undefined,
      say: (text) => void said.push(text),
      verifiers: [1, 5],
      rounds: 4,
    });
    expect(figures.map(({ verifiers, rounds }) => [verifiers, rounds])).toEqual([
      [1, 4],
      [5, 4],
    ]);
    expect(said).toHaveLength(2);
    for (const { asked, ended, marked } of figures)
      for (const { p50, p99, max } of [asked, ended, marked]) {
        expect(p50).toBeGreaterThan(0);
        expect(p99).toBeGreaterThanOrEqual(p50);
        expect(max).toBeGreaterThanOrEqual(p99);
      }
  }, 60_000);
});
