import {
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  Registry as PromRegistry,
  type Aggregator,
  type OpenMetricsContentType,
} from "prom-client";
import type { ErrorCode } from "../../domain/errors.ts";
import type { EndedBy, LeaseState } from "../../domain/lease.ts";
import { Children, ClosedSet } from "./labels.ts";
import { snapshotOf, together, type Snapshot } from "./together.ts";

type Registry = PromRegistry<OpenMetricsContentType>;

const FAST = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];
const HTTP = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const SPREAD = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300];

export interface TokenRequest {
  readonly grant: string | undefined;
  /** The trust's preset, `task` for our own task tokens, undefined before it is known. */
  readonly attestor: string | undefined;
  readonly outcome: "issued" | "denied" | "invalid" | "error";
  readonly error?: ErrorCode;
}

/** What Prometheus sees. No label ever names a workload, a task, a lease, a token or an address. Durations are in seconds. */
export interface Metrics {
  /** Grants that may be named by a label; others count as `other`. Call it whenever a policy comes into force. */
  setGrants(names: Iterable<string>): void;
  tokenRequest(request: TokenRequest): void;
  attestation(attestor: string, outcome: "accepted" | "rejected" | "unavailable", seconds: number): void;
  decision(decision: "allow" | "deny", seconds: number): void;
  /** `route` is a template such as `/v1/leases/:id`, never a path. */
  httpRequest(method: string, route: string, status: number, seconds: number): void;
  leaseEnded(by: EndedBy, count?: number): void;
  revocationPropagated(channel: "introspection" | "feed" | "target", seconds: number): void;
  /** Refused for want of room, or for more than a fair share. */
  shed(code: string): void;
  replayRejected(kind: "evidence" | "idempotency"): void;
  keysFetchFailed(trust: string): void;
  policyLoaded(outcome: "in_force" | "refused"): void;
  dutyFailed(duty: string): void;
  leases(byState: Readonly<Partial<Record<LeaseState, number>>>): void;
  /** How long ago the oldest lease became due that has not been ended: the sweeper's health. */
  oldestDue(seconds: number): void;
  auditLag(records: number, seconds: number): void;
  signingKey(alg: string, notAfterSeconds: number): void;
  redisUp(up: boolean): void;
  onHold(hold: boolean): void;
  clockOffset(seconds: number): void;
  /** Verifiers that are connected, and how old the knowledge is that they are given. */
  feed(subscribers: number, lagSeconds: number): void;
  /** Processes that serve together with this one, itself counted, and how many of them have ended unasked so far. */
  workers(serving: number, lost: number): void;
  /** OpenMetrics text; with what other processes have counted, where there are any. */
  render(others?: readonly Snapshot[]): Promise<{ readonly contentType: string; readonly body: string }>;
  /** All of it, to be added up by another process. */
  snapshot(): Promise<Snapshot>;
}

export interface MetricsOptions {
  readonly version: string;
  readonly revision?: string;
  /** Memory, CPU and event loop of the process; on unless told otherwise. */
  readonly process?: boolean;
}

/** A set of metrics with a registry of its own. prom-client's only door. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new PromRegistry<OpenMetricsContentType>();
  registry.setContentType(PromRegistry.OPENMETRICS_CONTENT_TYPE);
  if (options.process !== false) collectDefaultMetrics({ register: registry });
  const build = gauge(registry, "stint_build_info", "The running version; always 1.", { labels: ["version", "revision"] });
  build.set({ version: options.version, revision: options.revision ?? "unknown" }, 1);
  return {
    ...requestMetrics(registry),
    ...endingMetrics(registry),
    ...stateMetrics(registry),
    snapshot: () => snapshotOf(registry),
    render: async (others = []) => {
      const shown = others.length === 0 ? registry : together([await snapshotOf(registry), ...others]);
      return { contentType: shown.contentType, body: await shown.metrics() };
    },
  };
}

type RequestMetrics = Pick<
  Metrics,
  "setGrants" | "tokenRequest" | "attestation" | "decision" | "httpRequest" | "shed" | "replayRejected" | "keysFetchFailed"
>;

function requestMetrics(registry: Registry): RequestMetrics {
  const grants = new ClosedSet(200);
  const trusts = new ClosedSet(50);
  const tokens = new Children(
    counter(registry, "stint_token_requests_total", "Requests for a credential, by outcome.", ["grant", "attestor", "outcome", "error"]),
  );
  const attested = new Children(
    histogram(registry, "stint_attestation_verify_duration_seconds", "Time to verify evidence.", ["attestor", "outcome"], FAST),
  );
  const decided = new Children(
    histogram(registry, "stint_policy_decision_duration_seconds", "Time to decide.", ["engine", "decision"], FAST),
  );
  const http = new Children(
    histogram(registry, "stint_http_request_duration_seconds", "Time to answer.", ["method", "route", "status"], HTTP),
  );
  const sheds = new Children(counter(registry, "stint_requests_shed_total", "Requests refused for want of room.", ["code"]));
  const replays = new Children(counter(registry, "stint_replay_rejected_total", "Repetitions that were refused.", ["kind"]));
  const fetches = new Children(
    counter(registry, "stint_jwks_fetch_failures_total", "Failed fetches of an identity provider's keys.", ["trust"]),
  );
  return {
    setGrants: (names) => grants.replace(names),
    tokenRequest: ({ grant, attestor, outcome, error }) =>
      tokens.of(grant === undefined ? "none" : grants.fit(grant), attestor ?? "none", outcome, error ?? "none").inc(),
    attestation: (attestor, outcome, seconds) => attested.of(attestor, outcome).observe(seconds),
    decision: (decision, seconds) => decided.of("stint", decision).observe(seconds),
    httpRequest: (method, route, status, seconds) => http.of(method, route, String(status)).observe(seconds),
    shed: (code) => sheds.of(code).inc(),
    replayRejected: (kind) => replays.of(kind).inc(),
    keysFetchFailed: (trust) => fetches.of(trusts.admit(trust)).inc(),
  };
}

type EndingMetrics = Pick<Metrics, "leaseEnded" | "revocationPropagated" | "policyLoaded" | "dutyFailed">;

function endingMetrics(registry: Registry): EndingMetrics {
  const ended = new Children(counter(registry, "stint_lease_revocations_total", "Leases that ended, by what ended them.", ["reason"]));
  const spread = new Children(
    histogram(registry, "stint_revocation_propagation_seconds", "Time from ending to refusal.", ["channel"], SPREAD),
  );
  const policies = new Children(counter(registry, "stint_policy_loads_total", "Configurations that were read.", ["outcome"]));
  const duties = new Children(counter(registry, "stint_duty_failures_total", "Background duties that failed and go on.", ["duty"]));
  return {
    leaseEnded: (by, count = 1) => ended.of(by).inc(count),
    revocationPropagated: (channel, seconds) => spread.of(channel).observe(seconds),
    policyLoaded: (outcome) => policies.of(outcome).inc(),
    dutyFailed: (duty) => duties.of(duty).inc(),
  };
}

type StateMetrics = Pick<
  Metrics,
  "leases" | "oldestDue" | "auditLag" | "signingKey" | "redisUp" | "onHold" | "clockOffset" | "feed" | "workers"
>;

function stateMetrics(registry: Registry): StateMetrics {
  const leases = gauge(registry, "stint_leases", "Leases that are not yet ended, and those that were closed by force.", {
    labels: ["state"],
  });
  const due = gauge(registry, "stint_oldest_due_seconds", "Age of the oldest lease that is due and not yet ended.");
  const lag = gauge(registry, "stint_audit_lag_records", "Audit records not yet exported.");
  const lagAge = gauge(registry, "stint_audit_lag_seconds", "Age of the oldest audit record not yet exported.");
  const keys = gauge(registry, "stint_signing_key_not_after_timestamp_seconds", "When the active signing key ends.", { labels: ["alg"] });
  const redis = gauge(registry, "stint_redis_up", "1 while the store answers.", { together: "min" });
  const hold = gauge(registry, "stint_hold", "1 while issuing is on hold because the store has gone back.");
  const clock = gauge(registry, "stint_clock_offset_seconds", "Our clock less the store's.");
  const subscribers = gauge(registry, "stint_feed_subscribers", "Verifiers that are connected to this broker's feed.", { together: "sum" });
  const feedLag = gauge(registry, "stint_feed_lag_seconds", "How old the knowledge is that this broker gives to verifiers.");
  const serving = gauge(registry, "stint_workers", "Processes that serve.");
  serving.set(1);
  const lost = new Counter({
    name: "stint_worker_exits_total",
    help: "Serving processes that ended unasked and were replaced.",
    registers: [registry],
    aggregator: "max",
  });
  return {
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

const counter = <L extends string>(registry: Registry, name: string, help: string, labelNames: readonly L[]): Counter<L> =>
  new Counter({ name, help, labelNames: [...labelNames], registers: [registry] });
/** A gauge tells how things stand; of several processes the worst counts unless `together` says otherwise. */
const gauge = <L extends string>(
  registry: Registry,
  name: string,
  help: string,
  { labels = [], together: aggregator = "max" }: { readonly labels?: readonly L[]; readonly together?: Aggregator } = {},
): Gauge<L> => new Gauge({ name, help, labelNames: [...labels], registers: [registry], aggregator });
const histogram = <L extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly L[],
  buckets: readonly number[],
): Histogram<L> => new Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers: [registry] });
