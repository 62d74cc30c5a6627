import type { Metric, MetricObjectWithValues, MetricValueWithName } from "prom-client";
import type { Registry } from "./instruments.ts";

/** One combination of label values: a value costs a short search and three additions. */
export class Sizes {
  readonly labels: Readonly<Record<string, string>>;
  readonly #bounds: readonly number[];
  /** One more than there are bounds: the last is for what is beyond all of them. */
  readonly #counts: number[];
  #sum = 0;

  constructor(labels: Readonly<Record<string, string>>, bounds: readonly number[]) {
    this.labels = labels;
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  /** Counts a value. Throws TypeError for what is no finite number. */
  observe(value: number): void {
    if (!Number.isFinite(value)) throw new TypeError(`expected a finite number, not ${value}`);
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] ?? 0)) at += 1;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += value;
  }

  /** Counts up to each bound, of all, and the sum, as the exposition names them. */
  values(name: string): MetricValueWithName<string>[] {
    let count = 0;
    const upTo = this.#counts.map((more, index) => {
      const le = this.#bounds[index] ?? "+Inf";
      return { labels: { le, ...this.labels }, value: (count += more), metricName: `${name}_bucket` };
    });
    return [
      ...upTo,
      { labels: { ...this.labels }, value: this.#sum, metricName: `${name}_sum` },
      { labels: { ...this.labels }, value: count, metricName: `${name}_count` },
    ];
  }
}

/**
 * A histogram that counts here and is only shown by prom-client, whose own looks a combination of labels up anew for each value: that
 * is more work than all the rest of counting, several times in each request.
 */
export class Distribution {
  readonly name: string;
  readonly help: string;
  readonly type = "histogram";
  readonly aggregator = "sum";
  readonly #labelNames: readonly string[];
  readonly #bounds: readonly number[];
  readonly #all: Sizes[] = [];

  constructor(registry: Registry, name: string, help: string, labelNames: readonly string[], bounds: readonly number[]) {
    [this.name, this.help, this.#labelNames, this.#bounds] = [name, help, labelNames, bounds];
    // a registry asks a metric for its name and its values, and nothing else
    registry.registerMetric(this as unknown as Metric);
  }

  /** What counts values of these labels. To be kept: each call makes another. */
  labels(...values: string[]): Sizes {
    const labels = Object.fromEntries(this.#labelNames.map((label, index) => [label, values[index] ?? ""]));
    const sizes = new Sizes(labels, this.#bounds);
    this.#all.push(sizes);
    return sizes;
  }

  /** Everything that was counted, as a registry shows it. */
  async get(): Promise<Omit<MetricObjectWithValues<MetricValueWithName<string>>, "collect" | "type"> & { readonly type: string }> {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: this.#all.flatMap((sizes) => sizes.values(name)) };
  }
}
