import { describe, expect, it } from "@jest/globals";
import { killStorm } from "../support/kill-storm.ts";

describe("a broker that is killed again and again", () => {
  // The long form is `npm run storm -- 1000`.
  it("loses no lease, revives none, and leaves no credential behind", async () => {
    const report = await killStorm(8);
    expect(report).toMatchObject({ kills: 8, orphans: 0, lost: 0, revived: 0, unaccounted: 0, overdue: 0 });
    expect(report.issued).toBeGreaterThan(8);
    expect(report.acknowledgedEndings).toBeGreaterThan(0);
  }, 180_000);

  it("leaves no role in a real Postgres either", async () => {
    const report = await killStorm(4, { system: "postgres" });
    expect(report.issued).toBeGreaterThan(0);
    expect(report).toMatchObject({ orphans: 0, lost: 0, revived: 0, unaccounted: 0, overdue: 0 });
  }, 180_000);
});
