import type { ActionDecision } from "../../actions/decide.ts";
import type { Asked } from "../../actions/routes.ts";
import type { AuditFacts } from "../../domain/audit-event.ts";
import { isId, newId, subjectBits, type DenialId } from "../../domain/ids.ts";
import type { DenialRecord } from "../../store/api.ts";
import type { Origin } from "../callers.ts";
import type { Parts } from "../parts.ts";
import type { Verifier } from "../policy/policy.ts";

/** An action that was refused, with all that its record says. */
export interface RefusedAction {
  readonly verifier: Verifier;
  readonly asked: Asked;
  /** As it was asked. */
  readonly target: string;
  readonly origin: Origin;
}

/** Records a refusal and tells its id; undefined where it was not recorded. */
export type RefuseAction = (
  refused: RefusedAction,
  decision: Extract<ActionDecision, { readonly allowed: false }>,
) => Promise<DenialId | undefined>;

/** Refusals of one subject that are recorded in one second: whoever repeats itself a thousand times fills no audit. */
const PER_SECOND = 100;
const MAX_SUBJECTS = 10_000;
const MAX_PATH = 1024;

/**
 * Refusals of actions, recorded as those of requests for credentials are. A refusal stands whether or not it could be recorded: what
 * is denied must not turn into an outage, nor an outage into a pass.
 */
export function createRefusals(parts: Pick<Parts, "store" | "policy" | "now" | "events" | "log">): RefuseAction {
  const recent = new Map<string, { second: number; count: number }>();

  function mayRecord(subject: string, now: number): boolean {
    const second = Math.floor(now / 1000);
    const entry = recent.get(subject);
    if (entry?.second === second) return ++entry.count <= PER_SECOND;
    if (recent.size >= MAX_SUBJECTS) recent.clear();
    recent.set(subject, { second, count: 1 });
    return true;
  }

  return async ({ verifier, asked, target, origin }, decision) => {
    const now = parts.now();
    const subject = text(asked.token["sub"]);
    if (!mayRecord(subject, now)) return undefined;
    const denial: DenialRecord = {
      id: newId("den", now, subjectBits(subject)),
      at: now,
      view: decision.view,
      principal: { trust: trustOf(subject), subject, workload: text(asked.token["workload"]), claims: asked.token },
      grant: grantOf(asked),
      trace: decision.trace(),
      route: origin.route,
      traceId: origin.traceId,
      action: { verifier: verifier.name, method: asked.method.slice(0, 16), path: withoutQuery(target), host: asked.host.slice(0, 255) },
    };
    try {
      await parts.store.denials.record(
        denial,
        facts(denial, verifier, asked, decision.rule, parts.policy().version),
        parts.policy().settings.retentionMs,
        undefined,
      );
    } catch (error) {
      parts.log.warn(
        { code: denial.view.code, error: error instanceof Error ? error.message : "unknown" },
        "a refused action was not recorded",
      );
      return undefined;
    }
    parts.events.publish("request.denied", {
      denial: denial.id,
      code: denial.view.code,
      verifier: verifier.name,
      workload: text(asked.token["workload"]),
    });
    return denial.id;
  };
}

/** Flat and short, without the path: that stands in the denial, which is not kept for ever. */
function facts(denial: DenialRecord, verifier: Verifier, asked: Asked, rule: string | undefined, policy: string): AuditFacts {
  const { lease_id: lease, task_id: task } = asked.token;
  return {
    action: "request.denied",
    principal: denial.principal?.subject ?? "",
    decision: "deny",
    code: denial.view.code,
    policy,
    ...(rule === undefined ? {} : { rule }),
    trust: denial.principal?.trust ?? "",
    workload: denial.principal?.workload ?? "",
    subject: denial.principal?.subject ?? "",
    ...(denial.grant === undefined ? {} : { grant: denial.grant }),
    ...(isId("task", task) ? { task } : {}),
    ...(isId("lease", lease) ? { lease } : {}),
    denial: denial.id,
    verifier: verifier.name,
    method: asked.method.slice(0, 16),
    route: denial.route,
    trace_id: denial.traceId,
  };
}

const text = (value: unknown): string => (typeof value === "string" ? value.slice(0, 512) : "");
const grantOf = ({ token }: Asked): string | undefined => (typeof token["grant"] === "string" ? token["grant"].slice(0, 63) : undefined);
const trustOf = (subject: string): string => (subject.includes(":") ? subject.slice(0, subject.indexOf(":")) : "");
const withoutQuery = (target: string): string => (target.split("?", 1)[0] ?? "").slice(0, MAX_PATH);
