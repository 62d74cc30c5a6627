import { describe, expect, it } from "@jest/globals";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { createMetrics } from "../../../broker/telemetry/metrics.ts";
import { everyMetric } from "./every-metric.ts";
import { readExposition } from "./exposition.ts";

const root = join(import.meta.dirname, "../../../..");

/** Units by which names end: base units only (OpenMetrics 1.0, "units and base units"); or what is counted. */
const UNITS = /_(?:seconds|bytes|ratio|records)$/;
/** What a name may end in that is no unit: states, and counts of things. */
const PLAIN = /^stint_(?:leases|redis_up|hold|feed_subscribers|workers|check_ok|target_(?:left_alone|calls|orphans))$/;
/** Never a label: each of these takes as many values as there are callers. */
const UNBOUNDED = /^(?:sub|subject|jti|workload|task|task_id|lease|lease_id|repository|ip|path|url|token|user|operator|instance)$/;

describe("the metrics, as a linter reads them", () => {
  it("are well-formed OpenMetrics: each described once, typed, helped by a sentence", async () => {
    const wrong = (await everyMetric()).filter(
      ({ type, help }) => !/^(?:counter|gauge|histogram)$/.test(type) || !/^[A-Z0-9].*\.$/.test(help),
    );
    expect(wrong.map(({ name }) => name)).toEqual([]);
    expect(await everyMetric({ process: true })).not.toEqual([]);
  });

  it("have names in snake case, ours with our prefix, with a base unit or none", async () => {
    for (const { name, type } of await everyMetric()) {
      expect(name).toMatch(/^stint_[a-z][a-z0-9]*(?:_[a-z0-9]+)*$/);
      if (type === "histogram") expect(name).toMatch(/_seconds$/);
      if (type === "gauge" && name !== "stint_build_info") expect(UNITS.test(name) || PLAIN.test(name) ? "" : name).toBe("");
      expect(name).not.toMatch(/_(?:ms|milliseconds|minutes|kb|mb|percent|total|count|sum|bucket)(?:_|$)/);
    }
  });

  it("count with _total and never backwards, and give histograms rising buckets up to +Inf", async () => {
    for (const { name, type, samples } of await everyMetric()) {
      if (type === "counter") expect(samples.map((one) => one.name).filter((one) => one !== `${name}_total`)).toEqual([]);
      if (type !== "histogram") continue;
      const bounds = samples
        .filter((one) => one.name.endsWith("_bucket"))
        .map(({ labels }) => Number((labels["le"] ?? "").replace("Inf", "Infinity")));
      expect(bounds.length).toBeGreaterThan(8);
      expect(bounds.at(-1)).toBe(Infinity);
      expect(bounds).toEqual(bounds.toSorted((a, b) => a - b));
      expect(samples.map((one) => one.name)).toEqual(expect.arrayContaining([`${name}_sum`, `${name}_count`]));
    }
  });

  it("have no label that callers could fill, and few values in each", async () => {
    const labels = (await everyMetric()).flatMap(({ samples }) => samples.flatMap((one) => Object.keys(one.labels)));
    expect([...new Set(labels)].filter((name) => UNBOUNDED.test(name))).toEqual([]);
    const metrics = createMetrics({ version: "1", process: false });
    for (let n = 0; n < 500; n += 1) {
      metrics.httpRequest(`METHOD${n}`, "/v1/leases", 405, 0.001);
      metrics.targetCall(`target-${n}`, "make", "done", 0.001);
    }
    metrics.targets(Array.from({ length: 500 }, (_, n) => ({ name: `target-${n}`, leftAlone: false, running: 0, waiting: 0, orphans: 0 })));
    const families = readExposition((await metrics.render()).body);
    const values = (family: string, label: string): number =>
      new Set(families.find(({ name }) => name === family)?.samples.map(({ labels: all }) => all[label])).size;
    expect(values("stint_http_request_duration_seconds", "method")).toBe(1);
    expect(values("stint_target_call_duration_seconds", "target")).toBe(21);
    expect(values("stint_target_left_alone", "target")).toBe(21);
  });

  it("forget a target that is gone", async () => {
    const metrics = createMetrics({ version: "1", process: false });
    metrics.targets([{ name: "old", leftAlone: true, running: 0, waiting: 0, orphans: 3 }]);
    metrics.targets([{ name: "new", leftAlone: false, running: 0, waiting: 0, orphans: 0 }]);
    const { body } = await metrics.render();
    expect(body).toContain('stint_target_orphans{target="new"} 0');
    expect(body).not.toContain('target="old"');
  });
});

describe("what is built on the metrics", () => {
  const expressions = (): readonly string[] => {
    const rules = parse(readFileSync(join(root, "deploy/prometheus-rules.yaml"), "utf8")) as {
      groups: { rules: { alert: string; expr: string; labels: { severity: string }; annotations: { summary: string } }[] }[];
    };
    const alerts = rules.groups.flatMap((group) => group.rules);
    expect(alerts.length).toBeGreaterThan(10);
    expect(
      alerts.filter(({ alert, labels, annotations }) => !alert.startsWith("Stint") || !labels.severity || !annotations.summary),
    ).toEqual([]);
    const board = JSON.parse(readFileSync(join(root, "deploy/grafana-dashboard.json"), "utf8")) as {
      panels: { targets: { expr: string }[] }[];
    };
    return [...alerts.map(({ expr }) => expr), ...board.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))];
  };

  it("names metrics, labels and label values that exist", async () => {
    const families = await everyMetric({ process: true });
    const samples = new Map<string, Set<string>>();
    for (const one of families.flatMap((family) => family.samples)) {
      const known = samples.get(one.name) ?? new Set<string>();
      for (const label of Object.keys(one.labels)) known.add(label);
      samples.set(one.name, known);
    }
    for (const expression of expressions()) {
      const named = [...expression.matchAll(/\b((?:stint|process|nodejs)_[a-z0-9_]+)(?:\{([^}]*)\})?/g)];
      expect(named.length).toBeGreaterThan(0);
      for (const [, name = "", matchers = ""] of named) {
        expect(samples.has(name) ? "" : `${name} in ${expression}`).toBe("");
        for (const [, label = ""] of matchers.matchAll(/([a-z_]+)=/g)) expect([...(samples.get(name) ?? [])]).toContain(label);
      }
      const grouped = [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = ""]) => list.split(/,\s*/));
      const all = new Set([...[...samples.values()].flatMap((set) => [...set]), "instance"]);
      expect(grouped.filter((label) => !all.has(label))).toEqual([]);
    }
  });

  it("has balanced brackets", () => {
    for (const expression of expressions())
      for (const [open, close] of ["()", "{}", "[]"].map((pair) => [...pair] as [string, string]))
        expect(expression.split(open).length).toBe(expression.split(close).length);
  });
});
