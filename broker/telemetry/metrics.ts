import { collectDefaultMetrics, Registry as PromRegistry, type OpenMetricsContentType } from "prom-client";
import type { ErrorCode } from "../../domain/errors.ts";
import type { EndedBy, LeaseState } from "../../domain/lease.ts";
import { CALL, counter, FAST, gauge, histogram, HTTP, SPREAD, type Registry } from "./instruments.ts";
import { Children, ClosedSet, MAX_TARGETS } from "./labels.ts";
import type { Meter } from "./meter.ts";
import { stateMetrics } from "./state-metrics.ts";
import { snapshotOf, together, type Snapshot } from "./together.ts";

export interface TokenRequest {
  readonly grant: string | undefined;
  /** The trust's preset, `task` for our own task tokens, undefined before it is known. */
  readonly attestor: string | undefined;
  readonly outcome: "issued" | "denied" | "invalid" | "error";
  readonly error?: ErrorCode;
}

export interface TargetFigures {
  readonly name: string;
  readonly leftAlone: boolean;
  readonly running: number;
  readonly waiting: number;
  readonly orphans: number;
}

/** What Prometheus sees. No label ever names a workload, a task, a lease, a token or an address. Durations are in seconds. */
export interface Metrics extends Meter {
  /** Grants that may be named by a label; others count as `other`. Call it whenever a policy comes into force. */
  setGrants(names: Iterable<string>): void;
  tokenRequest(request: TokenRequest): void;
  /** `route` is a template such as `/v1/leases/:id`, never a path. */
  httpRequest(method: string, route: string, status: number, seconds: number): void;
  leaseEnded(by: EndedBy, count?: number): void;
  taskEnded(by: EndedBy): void;
  /** Refused for want of room, or for more than a fair share. */
  shed(code: string): void;
  replayRejected(kind: "evidence" | "idempotency"): void;
  policyLoaded(outcome: "in_force" | "refused"): void;
  leases(byState: Readonly<Partial<Record<LeaseState, number>>>): void;
  /** How long ago the oldest lease became due that has not been ended: the sweeper's health. */
  oldestDue(seconds: number): void;
  auditLag(records: number, seconds: number): void;
  signingKey(alg: string, notAfterSeconds: number): void;
  redisUp(up: boolean): void;
  onHold(hold: boolean): void;
  clockOffset(seconds: number): void;
  /** The checks of `/readyz`. */
  checks(all: readonly { readonly name: string; readonly status: string }[]): void;
  /** Every target there is. */
  targets(all: readonly TargetFigures[]): void;
  /** Verifiers that are connected, and how old the knowledge is that they are given. */
  feed(subscribers: number, lagSeconds: number): void;
  /** Processes that serve together with this one, itself counted, and how many of them have ended unasked so far. */
  workers(serving: number, lost: number): void;
  /** OpenMetrics text; given what processes have counted, the sum of that, and of this one nothing but what `workers` was told. */
  render(all?: readonly Snapshot[]): Promise<{ readonly contentType: string; readonly body: string }>;
  /** All of it, to be added up. */
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
    render: async (all) => {
      const shown = all === undefined ? registry : together([await ofWorkers(registry), ...all]);
      return { contentType: shown.contentType, body: await shown.metrics() };
    },
  };
}

/** How many there are is known to one, and told: of these figures the first one counts. */
const ofWorkers = async (registry: Registry): Promise<Snapshot> =>
  (await snapshotOf(registry)).filter(({ name }) => name.startsWith("stint_worker"));

/** What routes have; anything else is refused, and is one label. */
const METHODS: ReadonlySet<string> = new Set(["GET", "POST", "DELETE", "HEAD", "OPTIONS"]);

type RequestMetrics = Pick<
  Metrics,
  "setGrants" | "tokenRequest" | "attestation" | "decision" | "httpRequest" | "shed" | "replayRejected" | "keysFetchFailed" | "storeCall"
>;

function requestMetrics(registry: Registry): RequestMetrics {
  const grants = new ClosedSet(200);
  const trusts = new ClosedSet(50);
  const tokens = new Children(
    counter(registry, "stint_token_requests_total", "Requests for a credential, by outcome.", ["grant", "attestor", "outcome", "error"]),
  );
  const attested = new Children(
    histogram(
      registry,
      "stint_attestation_verify_duration_seconds",
      "Time to verify evidence, fetching keys included.",
      ["attestor", "outcome"],
      FAST,
    ),
  );
  const decided = new Children(
    histogram(registry, "stint_policy_decision_duration_seconds", "Time to decide.", ["engine", "decision"], FAST),
  );
  const http = new Children(
    histogram(
      registry,
      "stint_http_request_duration_seconds",
      "Time to answer a request; route is a template.",
      ["method", "route", "status"],
      HTTP,
    ),
  );
  const stored = new Children(
    histogram(registry, "stint_store_call_duration_seconds", "Time of a script of the store, with its retries.", ["work", "outcome"], FAST),
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
    storeCall: (work, outcome, seconds) => stored.of(work, outcome).observe(seconds),
    httpRequest: (method, route, status, seconds) =>
      http.of(METHODS.has(method) ? method : "other", route, String(status)).observe(seconds),
    shed: (code) => sheds.of(code).inc(),
    replayRejected: (kind) => replays.of(kind).inc(),
    keysFetchFailed: (trust) => fetches.of(trusts.admit(trust)).inc(),
  };
}

type EndingMetrics = Pick<Metrics, "leaseEnded" | "taskEnded" | "revocationPropagated" | "policyLoaded" | "dutyFailed" | "targetCall">;

function endingMetrics(registry: Registry): EndingMetrics {
  const ended = new Children(
    counter(
      registry,
      "stint_lease_revocations_total",
      "Leases that ended one by one, by revocation or by time, by what ended them; those of a task count with it.",
      ["reason"],
    ),
  );
  const spread = new Children(
    histogram(
      registry,
      "stint_revocation_propagation_seconds",
      "Time from the end of a lease until its target has confirmed it.",
      ["channel"],
      SPREAD,
    ),
  );
  const tasks = new Children(counter(registry, "stint_tasks_ended_total", "Tasks that ended here, by what ended them.", ["reason"]));
  const targets = new ClosedSet(MAX_TARGETS);
  const calls = new Children(
    histogram(registry, "stint_target_call_duration_seconds", "Time of a call at a target.", ["target", "work", "outcome"], CALL),
  );
  const policies = new Children(counter(registry, "stint_policy_loads_total", "Configurations that were read.", ["outcome"]));
  const duties = new Children(counter(registry, "stint_duty_failures_total", "Background duties that failed and go on.", ["duty"]));
  return {
    leaseEnded: (by, count = 1) => ended.of(by).inc(count),
    taskEnded: (by) => tasks.of(by).inc(),
    targetCall: (target, work, outcome, seconds) => calls.of(targets.admit(target), work, outcome).observe(seconds),
    revocationPropagated: (channel, seconds) => spread.of(channel).observe(seconds),
    policyLoaded: (outcome) => policies.of(outcome).inc(),
    dutyFailed: (duty) => duties.of(duty).inc(),
  };
}
