import { Counter } from "prom-client";
import { gauge, type Registry } from "./instruments.ts";
import { ClosedSet, MAX_TARGETS } from "./labels.ts";
import type { Metrics } from "./metrics.ts";

type StateMetrics = Pick<
  Metrics,
  "leases" | "oldestDue" | "auditLag" | "signingKey" | "redisUp" | "onHold" | "clockOffset" | "feed" | "workers" | "checks" | "targets"
>;

/** How things stand, told now and again. */
export function stateMetrics(registry: Registry): StateMetrics {
  const leases = gauge(registry, "stint_leases", "Leases that are not yet ended, and those that were closed by force.", {
    labels: ["state"],
  });
  const due = gauge(registry, "stint_oldest_due_seconds", "Age of the oldest lease that is due and not yet ended.");
  const lag = gauge(registry, "stint_audit_lag_records", "Audit records not yet exported.");
  const lagAge = gauge(registry, "stint_audit_lag_seconds", "Age of the oldest audit record not yet exported.");
  const keys = gauge(
    registry,
    "stint_signing_key_not_after_timestamp_seconds",
    "When the key that signs tokens is followed by the next; later than that, it was not.",
    { labels: ["alg"] },
  );
  const redis = gauge(registry, "stint_redis_up", "1 while the store answers.", { together: "min" });
  const hold = gauge(registry, "stint_hold", "1 while issuing is on hold because the store has gone back.");
  const clock = gauge(registry, "stint_clock_offset_seconds", "Our clock less the store's.");
  const subscribers = gauge(registry, "stint_feed_subscribers", "Verifiers that are connected to this broker's feed.", { together: "sum" });
  const feedLag = gauge(registry, "stint_feed_lag_seconds", "How old the knowledge is that this broker gives to verifiers.");
  const serving = gauge(registry, "stint_workers", "Processes that serve.", { together: "first" });
  serving.set(1);
  const lost = new Counter({
    name: "stint_worker_exits_total",
    help: "Serving processes that ended unasked and were replaced.",
    registers: [registry],
    aggregator: "first",
  });
  const checks = gauge(registry, "stint_check_ok", "1 while this check of /readyz does not fail.", { labels: ["check"], together: "min" });
  return {
    ...targetMetrics(registry),
    checks: (all) => {
      for (const { name, status } of all) checks.set({ check: name }, status === "fail" ? 0 : 1);
    },
    workers: (count, ended) => {
      serving.set(count);
      lost.reset();
      lost.inc(ended);
    },
    feed: (count, lagSeconds) => {
      subscribers.set(count);
      feedLag.set(lagSeconds);
    },
    leases: (byState) => {
      for (const [state, count] of Object.entries(byState)) leases.set({ state }, count);
    },
    oldestDue: (seconds) => due.set(seconds),
    auditLag: (records, seconds) => {
      lag.set(records);
      lagAge.set(seconds);
    },
    signingKey: (alg, notAfterSeconds) => keys.set({ alg }, notAfterSeconds),
    redisUp: (up) => redis.set(up ? 1 : 0),
    onHold: (held) => hold.set(held ? 1 : 0),
    clockOffset: (seconds) => clock.set(seconds),
  };
}

function targetMetrics(registry: Registry): Pick<Metrics, "targets"> {
  const names = new ClosedSet(MAX_TARGETS);
  const labels = ["target"] as const;
  const alone = gauge(registry, "stint_target_left_alone", "1 while a target is not called because it did not answer.", { labels });
  const calls = gauge(registry, "stint_target_calls", "Calls at a target under way, and leases that wait for one.", {
    labels: ["target", "state"],
    together: "sum",
  });
  const orphans = gauge(registry, "stint_target_orphans", "Things at a target that no lease wants and that are still there.", { labels });
  return {
    targets: (all) => {
      for (const each of [alone, calls, orphans]) each.reset();
      names.replace(all.map(({ name }) => name));
      for (const one of all) {
        const target = names.fit(one.name);
        alone.set({ target }, one.leftAlone ? 1 : 0);
        calls.set({ target, state: "running" }, one.running);
        calls.set({ target, state: "waiting" }, one.waiting);
        orphans.set({ target }, one.orphans);
      }
    },
  };
}
