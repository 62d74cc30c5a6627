import { describe } from "./background.ts";
import type { Broker } from "./compose.ts";
import type { BrokerEvent } from "./events.ts";
import type { Schedule } from "./sweeper/schedule.ts";
import type { TargetStanding } from "./targets/api.ts";
import type { Metrics, TargetFigures } from "./telemetry/metrics.ts";
import { ENDED_BY, type EndedBy } from "../domain/lease.ts";
import { ERROR_CODES, type ErrorCode } from "../domain/errors.ts";
import { KEY_TIMES } from "../store/key-set.ts";

/** Counting leases walks every bucket: often enough for a dashboard. */
const COUNT_EVERY_MS = 10_000;

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const endedBy = (value: unknown): EndedBy | undefined => ENDED_BY.find((one) => one === value);
const errorCode = (value: unknown): ErrorCode | undefined => ERROR_CODES.find((one) => one === value);

/** Feeds the metrics from what happens and, now and again, from how things stand. */
export async function observe(broker: Broker, metrics: Metrics, schedule: Schedule): Promise<void> {
  const { grants } = broker;
  metrics.setGrants(grants());
  await stood(broker, metrics);
  broker.events.own((event) => counted(event, metrics, grants));
  schedule.every(COUNT_EVERY_MS, { name: "metrics", run: () => stood(broker, metrics) });
}

function counted({ type, data }: BrokerEvent, metrics: Metrics, grants: () => Iterable<string>): void {
  const grant = text(data["grant"]);
  switch (type) {
    case "lease.issued":
    case "lease.opened":
      return metrics.tokenRequest({ grant, attestor: undefined, outcome: "issued" });
    case "request.denied": {
      const error = errorCode(data["code"]);
      return metrics.tokenRequest({ grant, attestor: undefined, outcome: "denied", ...(error === undefined ? {} : { error }) });
    }
    case "leases.expired":
      return metrics.leaseEnded("expiry", typeof data["count"] === "number" ? data["count"] : 1);
    case "lease.ended": {
      const by = endedBy(data["ended_by"]);
      return by === undefined ? undefined : metrics.leaseEnded(by);
    }
    case "revocation.done":
      return metrics.leaseEnded("revoked", typeof data["ended"] === "number" ? data["ended"] : 0);
    case "task.ended": {
      const by = endedBy(data["ended_by"]);
      return by === undefined ? undefined : metrics.taskEnded(by);
    }
    case "policy.loaded":
      metrics.setGrants(grants());
      return metrics.policyLoaded("in_force");
    case "policy.refused":
      return metrics.policyLoaded("refused");
    default:
  }
}

/** Orphans that were only looked at, or withstood being ended. */
const figuresOf = ({ name, state, making, ending, waiting, findings }: TargetStanding): TargetFigures => ({
  name,
  leftAlone: state === "left_alone",
  running: making + ending,
  waiting,
  orphans: findings === undefined ? 0 : findings.mode === "shown" ? findings.orphaned : findings.failed,
});

async function stood({ store, services }: Broker, metrics: Metrics): Promise<void> {
  const { checks } = services.readiness();
  metrics.checks(checks);
  metrics.onHold(checks.some(({ name, status }) => name === "hold" && status === "fail"));
  metrics.targets(services.targets.list().map(figuresOf));
  const feed = services.feed.stats();
  metrics.feed(feed.subscribers, (feed.lagMs ?? 0) / 1000);
  const offset = store.clock.offsetMs();
  if (offset !== undefined) metrics.clockOffset(offset / 1000);
  try {
    const { byState, oldestDueMs } = await store.leases.counts();
    metrics.leases(byState);
    metrics.oldestDue(oldestDueMs / 1000);
    for (const { alg, state, activeAt, retiredAt } of await services.keys.list()) {
      if (state !== "active" || activeAt === undefined || alg === "Ed25519") continue; // the key of checkpoints has no end
      metrics.signingKey(alg, (retiredAt ?? activeAt + KEY_TIMES.activeMs) / 1000);
    }
    const waiting = (await store.audit.states()).flatMap(({ lastSeq, firstWaiting, oldestAt }) =>
      firstWaiting === undefined ? [] : [{ records: lastSeq - firstWaiting + 1, at: oldestAt ?? store.clock.now() }],
    );
    const oldest = Math.min(store.clock.now(), ...waiting.map(({ at }) => at));
    metrics.auditLag(
      waiting.reduce((sum, { records }) => sum + records, 0),
      (store.clock.now() - oldest) / 1000,
    );
    metrics.redisUp(true);
  } catch (error) {
    metrics.redisUp(false);
    throw new Error(`leases could not be counted: ${describe(error)}`, { cause: error });
  }
}
