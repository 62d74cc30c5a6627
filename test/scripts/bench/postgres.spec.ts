import { describe, expect, it } from "@jest/globals";
import { measurePostgres } from "../../../scripts/bench/postgres.ts";

describe("the benchmark of Postgres roles", () => {
  it("says the issuer's own statements to pgbench, and clears away what is due while others are made", async () => {
    const said: string[] = [];
    const { server, leases, due } = await measurePostgres({ rounds: 1, seconds: 1, roles: 300, say: (text) => said.push(text) });
    expect(server).toMatch(/^PostgreSQL \d+/);
    for (const { median } of [leases.ours, leases.pgbench, leases.ratio]) expect(median).toBeGreaterThan(0);
    expect(leases.cpuUs).toBeGreaterThan(0);
    expect(due).toMatchObject({ roles: 300, goalSeconds: expect.closeTo(0.9, 5) });
    expect(due.seconds).toBeGreaterThan(0);
    expect(due.mostConnections).toBeLessThanOrEqual(8);
    expect(due.base.p99).toBeGreaterThanOrEqual(due.base.p50);
    expect(said).toEqual(["postgres: round 1 of 1", "postgres: 300 roles due at once"]);
  }, 60_000);
});
