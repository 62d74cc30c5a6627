import { describe, expect, it } from "@jest/globals";
import { figureOf } from "../../scripts/bench/figures.ts";
import { HTTP_PATHS, PATHS, readOptions } from "../../scripts/bench/options.ts";
import { benchmark } from "../../scripts/bench/run.ts";
import { renderTable } from "../../scripts/bench/table.ts";

const quiet = (): void => undefined;

describe("the benchmark", () => {
  it("holds floor and broker to correct answers, and puts a finite ratio on every path", async () => {
    const options = readOptions(["--requests", "200", "--rounds", "1", "--connections", "8", "--only", HTTP_PATHS.join(",")], quiet);
    const report = await benchmark(options);
    expect(report.paths.map(({ path }) => path)).toEqual([...HTTP_PATHS]);
    for (const { ratio, floor, broker } of report.paths) {
      expect(ratio.median).toBeGreaterThan(0);
      expect(Number.isFinite(ratio.median)).toBe(true);
      for (const lane of [floor, broker]) expect(lane.perSecond.median).toBeGreaterThan(0);
    }
    const peers = report.paths.map(({ others }) => others.filter(({ lane }) => lane.startsWith("node-oidc-provider")));
    expect(peers.map((lanes) => lanes.length)).toEqual([2, 0, 1, 1]);
    for (const { toFloor } of peers.flat()) expect(toFloor?.median).toBeGreaterThan(0);
    expect(report.store).toBeUndefined();
    expect(report.versions).toMatchObject({
      node: process.versions.node,
      express: expect.stringMatching(/^5\./),
      redis: expect.stringMatching(/^\d/),
    });
    const text = renderTable(report);
    for (const path of HTTP_PATHS) expect(text).toContain(path);
    expect(text.indexOf("RATIOS")).toBeLessThan(text.indexOf("ABSOLUTE"));
  }, 120_000);

  it.each(["sentinel", "cluster"])(
    "measures a broker whose store is a %s",
    async (store) => {
      const asked = ["--requests", "100", "--rounds", "1", "--connections", "8", "--only", "issue-es256,revoke", "--no-peers"];
      const report = await benchmark(readOptions([...asked, "--store", store], quiet));
      for (const { broker } of report.paths) {
        expect(broker.perSecond.median).toBeGreaterThan(0);
        expect(broker.redisUs.median).toBeGreaterThan(0);
      }
      expect(renderTable(report)).toMatch(store === "cluster" ? /Cluster of three primaries/ : /behind Sentinel/);
    },
    120_000,
  );

  it("accounts for every byte of a lease, ends all that is due and nothing else, and marks a workload", async () => {
    const report = await benchmark({ ...readOptions(["--only", "sweep,memory,mark"], quiet), leases: 2_000 });
    const { memory, sweep, mark, leases } = report.store ?? {};
    expect(leases).toBe(2_000);
    expect(memory?.parts.map(({ part }) => part)).toEqual(
      expect.arrayContaining(["lease record", "due index", "workload index", "task index"]),
    );
    expect(memory?.parts.reduce((sum, { bytes }) => sum + bytes, 0)).toBeCloseTo(memory?.perLease ?? 0, 3);
    expect(sweep?.due).toBe(200);
    expect(mark?.covered).toBe(200);
    expect(renderTable(report)).toContain("STORE at 2,000 live leases");
  }, 60_000);
});

describe("the benchmark's command line", () => {
  it("measures everything unless told otherwise", () => {
    expect(readOptions([], quiet)).toMatchObject({
      paths: new Set(PATHS),
      rounds: 5,
      seconds: 3,
      leases: 100_000,
      fsync: "everysec",
      out: "bench-report.json",
    });
  });

  it("takes issue for both kinds of evidence, and --full for a million leases", () => {
    const options = readOptions(["--only", "issue", "--seconds", "10", "--full"], quiet);
    expect(options).toMatchObject({ paths: new Set(["issue-es256", "issue-rs256"]), seconds: 10, leases: 1_000_000 });
  });

  it.each([
    { args: ["--only", "everything"], says: "--only: expected issue, issue-es256" },
    { args: ["--rounds", "0"], says: "--rounds: expected a whole number from 1" },
    { args: ["--seconds", "1.5"], says: "--seconds: expected a whole number from 1" },
    { args: ["--fsync", "sometimes"], says: "--fsync: expected always, everysec, no, off" },
    { args: ["--store", "moon"], says: "--store: expected single, sentinel, cluster" },
    { args: ["--store", "cluster", "--land"], says: "--store: what was landed stood on one Redis" },
    { args: ["--warp"], says: "Unknown option '--warp'" },
  ])("says what it expected instead of $args", ({ args, says }) => {
    expect(() => readOptions(args, quiet)).toThrow(says);
  });
});

describe("a figure over rounds", () => {
  it("is the median with its spread, and not a mean that one bad round pulls away", () => {
    expect(figureOf([100, 110, 90, 105, 10])).toEqual({ median: 100, min: 10, max: 110, spread: 1 });
    expect(figureOf([4, 2])).toMatchObject({ median: 3 });
  });
});
