import { Counter, Gauge, type Aggregator, type OpenMetricsContentType, type Registry as PromRegistry } from "prom-client";
import { Distribution } from "./distribution.ts";

export type Registry = PromRegistry<OpenMetricsContentType>;

/** Seconds: work within this machine. */
export const FAST = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];
/** Seconds: an answer to a caller. */
export const HTTP = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Seconds: what is out of our hands, for as long as it may take. */
export const SPREAD = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300];
/** Seconds: one call at somebody else's service. */
export const CALL = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Counts what happens; its name ends in `_total`. */
export const counter = <L extends string>(registry: Registry, name: string, help: string, labelNames: readonly L[]): Counter<L> =>
  new Counter({ name, help, labelNames: [...labelNames], registers: [registry] });
/** A gauge tells how things stand; of several processes the worst counts unless `together` says otherwise. */
export const gauge = <L extends string>(
  registry: Registry,
  name: string,
  help: string,
  { labels = [], together: aggregator = "max" }: { readonly labels?: readonly L[]; readonly together?: Aggregator } = {},
): Gauge<L> => new Gauge({ name, help, labelNames: [...labels], registers: [registry], aggregator });
/** Counts by size; its name ends in the unit. */
export const histogram = (
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly string[],
  bounds: readonly number[],
): Distribution => new Distribution(registry, name, help, labelNames, bounds);
