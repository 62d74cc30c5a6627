import type { Problem } from "../domain/errors.ts";
import type { StoreFacts } from "../store/api.ts";

export interface ReadinessCheck {
  readonly name: "redis" | "aof" | "eviction" | "signing_key" | "policy" | "audit" | "clock" | "hold" | "draining";
  /** `warn` is worth a person's look but does not take the broker out of service. */
  readonly status: "ok" | "warn" | "fail";
  readonly detail: string;
}

export interface Readiness {
  readonly ready: boolean;
  readonly checks: readonly ReadinessCheck[];
}

/** What the background duties last saw. */
export interface Readings {
  readonly storeAnswers: () => boolean;
  readonly facts: () => StoreFacts;
  readonly signs: () => boolean;
  readonly problems: () => readonly Problem[];
  readonly auditHealthy: () => boolean;
  readonly clockAgrees: () => boolean;
  readonly clockOffsetMs: () => number | undefined;
  readonly onHold: () => boolean;
  readonly draining: () => boolean;
}

/** Whether this broker should be sent requests. Reads only what is known already, so that probes cost nothing. */
export function readinessOf(readings: Readings): Readiness {
  const facts = readings.facts();
  const problems = readings.problems();
  const offset = readings.clockOffsetMs();
  const checks: readonly ReadinessCheck[] = [
    check("redis", readings.storeAnswers(), answering(facts), silent(facts)),
    facts.aof
      ? { name: "aof", status: "ok", detail: `append-only file, fsync ${facts.fsync}` }
      : {
          name: "aof",
          status: facts.aofRequired ? "fail" : "warn",
          detail: "Redis has no append-only file: leases are lost when it dies; CONFIG SET appendonly yes",
        },
    check(
      "eviction",
      facts.evictionPolicy === "noeviction",
      "noeviction",
      `maxmemory-policy is ${facts.evictionPolicy}: leases may be lost; set noeviction`,
    ),
    check("signing_key", readings.signs(), "a key signs", "no signing key can be used"),
    policyCheck(problems),
    check("audit", readings.auditHealthy(), "exported", "the audit trail cannot be written: nothing is issued, ending goes on"),
    check(
      "clock",
      readings.clockAgrees(),
      "agrees with the store",
      offset === undefined
        ? "could not be compared with the store's lately: nothing is issued"
        : `differs from the store's by ${Math.round(offset)} ms: nothing is issued`,
    ),
    check("hold", !readings.onHold(), "none", "on hold: nothing is issued until an admin runs stint hold clear"),
    check("draining", !readings.draining(), "no", "shutting down"),
  ];
  return { ready: checks.every(({ status }) => status !== "fail"), checks };
}

const replicasOf = ({ replicas }: StoreFacts): string => `${replicas} replica${replicas === 1 ? "" : "s"}`;
const answering = (facts: StoreFacts): string =>
  `${facts.mode} Redis ${facts.version} answers${facts.replicas === 0 ? "" : `, ${replicasOf(facts)} at least with it`}`;
const silent = (facts: StoreFacts): string =>
  `the store does not answer${facts.replicas === 0 ? "" : `, or fewer than ${replicasOf(facts)} have what it says`}`;

/** An error among them means that the files were read anew and refused. */
function policyCheck(problems: readonly Problem[]): ReadinessCheck {
  if (problems.length === 0) return { name: "policy", status: "ok", detail: "no problems" };
  const count = `${problems.length} problem${problems.length === 1 ? "" : "s"}`;
  const refused = problems.some(({ severity }) => severity === "error");
  const detail = refused
    ? `the files as they are now are refused (${count}), what was in force stays; stint policy check names them`
    : `${count}; stint policy lint names them`;
  return { name: "policy", status: "warn", detail };
}

const check = (name: ReadinessCheck["name"], good: boolean, ok: string, bad: string): ReadinessCheck => ({
  name,
  status: good ? "ok" : "fail",
  detail: good ? ok : bad,
});
