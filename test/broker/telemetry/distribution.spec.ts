import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { Histogram, Registry, type OpenMetricsContentType } from "prom-client";
import { Distribution } from "../../../broker/telemetry/distribution.ts";
import { Children } from "../../../broker/telemetry/labels.ts";

const BOUNDS = [0.001, 0.01, 0.1, 1];
const registryOf = () => {
  const registry = new Registry<OpenMetricsContentType>();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  return registry;
};

/** Without exemplars, of which there are none. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value, (_name, member: unknown) => member ?? undefined));

describe("a distribution", () => {
  it("shows what prom-client's own histogram would, text and JSON", async () => {
    const value = fc.oneof(fc.constantFrom(...BOUNDS, 0), fc.double({ min: 0, max: 2, noNaN: true }));
    const seen = fc.array(fc.tuple(fc.constantFrom("a", "b"), fc.constantFrom("GET", "POST"), value), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(seen, async (values) => {
        const [ours, theirs] = [registryOf(), registryOf()];
        const distribution = new Distribution(ours, "stint_seconds", "Spans.", ["route", "method"], BOUNDS);
        const children = new Children(distribution);
        const histogram = new Histogram({
          name: "stint_seconds",
          help: "Spans.",
          labelNames: ["route", "method"],
          buckets: BOUNDS,
          registers: [theirs],
        });
        for (const [route, method, seconds] of values) {
          children.of(route, method).observe(seconds);
          histogram.labels(route, method).observe(seconds);
        }
        expect(await ours.metrics()).toBe(await theirs.metrics());
        expect(plain(await ours.getMetricsAsJSON())).toEqual(plain(await theirs.getMetricsAsJSON()));
      }),
      { numRuns: 100 },
    );
  });

  it("refuses what is no number, and counts nothing then", async () => {
    const distribution = new Distribution(registryOf(), "stint_seconds", "Spans.", ["route"], BOUNDS);
    const sizes = distribution.labels("a");
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) expect(() => sizes.observe(value)).toThrow("expected a finite number");
    expect((await distribution.get()).values.every(({ value }) => value === 0)).toBe(true);
  });
});

describe("children of a metric", () => {
  it("are one for the same labels, and another where a value moves from one label to the next", () => {
    const children = new Children({ labels: (...values: string[]) => ({ values }) });
    expect(children.of("a", "b")).toBe(children.of("a", "b"));
    expect(children.of("a\nb", "c").values).toEqual(["a\nb", "c"]);
    expect(children.of("a", "b\nc").values).toEqual(["a", "b\nc"]);
  });
});
