import {
  AggregatorRegistry,
  Registry as PromRegistry,
  type MetricObjectWithValues,
  type MetricValue,
  type OpenMetricsContentType,
} from "prom-client";

type Registry = PromRegistry<OpenMetricsContentType>;

/** What one process has counted, as plain data. */
export type Snapshot = readonly MetricObjectWithValues<MetricValue<string>>[];

/**
 * What processes that have ended leave to the sums: their counters and histograms, added up. Without it a sum would fall when a
 * process ends, which Prometheus takes for a restart of everything.
 */
export async function legacy(ended: readonly Snapshot[]): Promise<Snapshot> {
  const counted = ended.map((each) => each.filter(({ type, aggregator }) => COUNTING.has(String(type)) && aggregator === "sum"));
  return snapshotOf(together(counted));
}

/** prom-client writes kinds as words, whatever its own typings say. */
const COUNTING: ReadonlySet<string> = new Set(["counter", "histogram"]);

/** A registry's figures. Counters are named without their suffix, as prom-client itself names them once it has rendered them. */
export async function snapshotOf(registry: Registry): Promise<Snapshot> {
  const all = await registry.getMetricsAsJSON();
  return all.map((metric) => (String(metric.type) === "counter" ? { ...metric, name: metric.name.replace(/_total$/, "") } : metric));
}

/** Counters and histograms are added up; what tells of the one store they share is not. */
export function together(snapshots: readonly Snapshot[]): Registry {
  const all = snapshots.map((each) => [...each]) as unknown as object[];
  const registry = AggregatorRegistry.aggregate(all) as unknown as Registry;
  registry.setContentType(PromRegistry.OPENMETRICS_CONTENT_TYPE);
  return registry;
}
