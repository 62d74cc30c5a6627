import { describe, expect, it } from "@jest/globals";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { figureOf } from "../../../scripts/bench/figures.ts";
import { changesOf, Landed, landedOf, regressions, renderChanges } from "../../../scripts/bench/landed.ts";
import { HTTP_PATHS, readOptions } from "../../../scripts/bench/options.ts";
import { plot } from "../../../scripts/bench/plot.ts";
import type { LaneReport, PathReport } from "../../../scripts/bench/path-reports.ts";
import type { BenchReport } from "../../../scripts/bench/run.ts";

const root = join(import.meta.dirname, "../../../..");
const lane = (name: string, toFloor?: readonly number[]): LaneReport => {
  const one = figureOf([1]);
  const rest = { perSecond: one, p50Ms: one, p99Ms: one, cpuUs: one, redisUs: one, busy: one };
  return { lane: name, ...rest, ...(toFloor === undefined ? {} : { toFloor: figureOf(toFloor) }) };
};
const path = (ratios: readonly number[]): PathReport => ({
  path: "issue-es256",
  ratio: figureOf(ratios),
  cpuRatio: figureOf(ratios),
  goal: 0.85,
  floor: lane("floor"),
  broker: lane("broker"),
  others: [lane("floor + task token", [0.9]), lane("node-oidc-provider, JWT", [0.3])],
  atEighty: undefined,
});
const report = (ratios: readonly number[], bytes: number): BenchReport =>
  ({
    machine: { cores: 2, cpu: "a core", system: "linux", pinned: true },
    versions: { stint: "1.0.0" },
    settings: { rounds: 5, seconds: 3, connections: 32, fsync: "everysec" },
    noisy: [],
    paths: [path(ratios)],
    store: { memory: { byBudget: bytes } },
  }) as unknown as BenchReport;
const was = landedOf(report([0.79, 0.8, 0.81], 600));
const verdicts = (now: BenchReport) => changesOf(was, landedOf(now)).map(({ name, verdict }) => [name, verdict]);

describe("a report that is kept", () => {
  it("holds ratios and bytes, which travel between machines, and no absolute figure", () => {
    expect(Object.keys(was.ratios)).toEqual([
      "issue-es256: throughput of the floor's",
      "issue-es256: CPU of the floor's",
      "issue-es256: node-oidc-provider, JWT, throughput of the floor's",
      "issue-es256: node-oidc-provider, JWT, CPU of the floor's",
      "memory: bytes a lease",
    ]);
    expect(JSON.stringify(was)).not.toContain("perSecond");
    expect(Landed.parse(JSON.parse(JSON.stringify(was)))).toEqual(was);
  });

  it("calls worse what is worse by more than either run's spread, and a lease that grew", () => {
    expect(verdicts(report([0.6, 0.61, 0.62], 640))).toEqual([
      ["issue-es256: throughput of the floor's", "worse"],
      ["issue-es256: CPU of the floor's", "worse"],
      ["issue-es256: node-oidc-provider, JWT, throughput of the floor's", "same"],
      ["issue-es256: node-oidc-provider, JWT, CPU of the floor's", "same"],
      ["memory: bytes a lease", "worse"],
    ]);
    expect(regressions(changesOf(was, landedOf(report([0.6, 0.61, 0.62], 640))))).toHaveLength(3);
  });

  it("does not call noise a regression, nor a small step, nor a peer's bad day", () => {
    expect(regressions(changesOf(was, landedOf(report([0.4, 0.7, 0.9], 601))))).toEqual([]);
    expect(regressions(changesOf(was, landedOf(report([0.77, 0.775, 0.78], 600))))).toEqual([]);
    const peer = {
      ...was,
      ratios: {
        "issue-es256: node-oidc-provider, JWT, throughput of the floor's": { median: 0.1, min: 0.1, max: 0.1, better: "more" as const },
      },
    };
    expect(changesOf(was, peer)[0]?.verdict).toBe("worse");
    expect(regressions(changesOf(was, peer))).toEqual([]);
  });

  it("is shown with what it was, what it is, and how far to trust it", () => {
    const text = renderChanges(changesOf(was, landedOf(report([0.4, 0.95, 0.97], 500))), was);
    expect(text).toMatch(/issue-es256: throughput of the floor's\s+0\.80\s+0\.95\s+\+19 %\s+same, too noisy to tell less than that/);
    expect(text).toMatch(/memory: bytes a lease\s+600\s+500\s+\+17 %\s+better/);
  });

  it("is in the repository, with every path and the peer beside us", () => {
    const file = join(root, "docs/bench/last.json");
    expect(existsSync(file)).toBe(true);
    const landed = Landed.parse(JSON.parse(readFileSync(file, "utf8")));
    for (const one of HTTP_PATHS) expect(landed.ratios).toHaveProperty([`${one}: throughput of the floor's`]);
    expect(Object.keys(landed.ratios).filter((name) => name.includes("node-oidc-provider"))).toHaveLength(8);
    expect(landed.versions["oidc-provider"]).toMatch(/^9\.13\./);
  });
});

describe("the benchmark's command line", () => {
  it("measures peers unless told not to, and compares or lands, not both", () => {
    const quiet = (): void => undefined;
    expect(readOptions([], quiet)).toMatchObject({ peers: true, landed: "left" });
    expect(readOptions(["--no-peers", "--compare"], quiet)).toMatchObject({ peers: false, landed: "compared" });
    expect(readOptions(["--land"], quiet)).toMatchObject({ landed: "replaced" });
    expect(() => readOptions(["--land", "--compare"], quiet)).toThrow("--land and --compare: expected one of them");
  });

  it("is what the job that compares ratios calls", () => {
    const job = parse(readFileSync(join(root, ".github/workflows/bench.yml"), "utf8")) as {
      jobs: Record<string, { steps: { run?: string }[] }>;
    };
    const commands = Object.values(job.jobs).flatMap(({ steps }) => steps.map(({ run }) => run ?? ""));
    const [, words = ""] = commands.map((command) => /^npm run bench -- (.*)$/m.exec(command)).find((found) => found !== null) ?? [];
    expect(readOptions(words.split(" "), () => undefined).landed).toBe("compared");
  });
});

describe("the plot", () => {
  it("draws every program beside the floor, the longest bar in full", () => {
    const lines = plot([path([0.5])]).split("\n");
    expect(lines.map((line) => line.replaceAll(/\s*█+\s*/g, " ").trim())).toEqual([
      "issue-es256",
      "floor 1.00",
      "broker 0.50",
      "floor + task token 0.90",
      "node-oidc-provider, JWT 0.30",
    ]);
    expect(lines[1]?.match(/█/g)).toHaveLength(40);
    expect(lines[2]?.match(/█/g)).toHaveLength(20);
  });
});
