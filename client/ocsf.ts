import type { AuditAction, AuditRecord } from "../domain/audit-event.ts";

/** Which OCSF 1.8 class and activity an action is. 3003 Authorize Session, 3002 Authentication, 3004 Entity Management. */
interface Mapped {
  readonly class_uid: 3002 | 3003 | 3004;
  readonly activity_id: number;
  readonly entity: string;
}

const entity = (type: string, activity: number): Mapped => ({ class_uid: 3004, activity_id: activity, entity: type });
const CREATE = 1;
const UPDATE = 3;
const DELETE = 4;
const CLOSE = 11;

const CLASSES: Readonly<Record<AuditAction, Mapped>> = {
  "lease.issued": { class_uid: 3003, activity_id: 1, entity: "lease" },
  "request.denied": { class_uid: 3003, activity_id: 1, entity: "lease" },
  "evidence.rejected": { class_uid: 3002, activity_id: 1, entity: "evidence" },
  "operator.refused": { class_uid: 3002, activity_id: 1, entity: "operator" },
  "lease.opened": entity("lease", CREATE),
  "lease.activated": entity("lease", UPDATE),
  "lease.renewed": entity("lease", UPDATE),
  "lease.ending": entity("lease", UPDATE),
  "lease.ended": entity("lease", CLOSE),
  "lease.postponed": entity("lease", UPDATE),
  "lease.stuck": entity("lease", UPDATE),
  "lease.forced": entity("lease", DELETE),
  "lease.claimed": entity("lease", UPDATE),
  "leases.expired": entity("lease", CLOSE),
  "lease.used_after_end": { class_uid: 3002, activity_id: 1, entity: "lease" },
  "task.opened": entity("task", CREATE),
  "task.joined": entity("task", UPDATE),
  "task.heartbeat": entity("task", UPDATE),
  "task.ended": entity("task", CLOSE),
  "revocation.started": entity("revocation", CREATE),
  "revocation.done": entity("revocation", CLOSE),
  "lock.added": entity("lock", CREATE),
  "lock.removed": entity("lock", DELETE),
  "hold.set": entity("hold", CREATE),
  "hold.cleared": entity("hold", DELETE),
  "key.added": entity("key", CREATE),
  "key.activated": entity("key", UPDATE),
  "key.retired": entity("key", UPDATE),
  "key.destroyed": entity("key", DELETE),
  "key.withdrawn": entity("key", DELETE),
  "policy.loaded": entity("policy", UPDATE),
  "policy.refused": entity("policy", UPDATE),
  "policy.queried": entity("policy", 2),
  "broker.started": entity("broker", UPDATE),
  "broker.stopped": entity("broker", UPDATE),
  "seal.rotated": entity("key", UPDATE),
  "orphan.ended": entity("lease", DELETE),
  "target.reconciled": entity("target", UPDATE),
  "target.rotated": entity("target", UPDATE),
};

/** What a person should look at: stuck and forced leases, withdrawn keys, holds. */
const MEDIUM: ReadonlySet<AuditAction> = new Set([
  "lease.stuck",
  "lease.forced",
  "lease.used_after_end",
  "key.withdrawn",
  "hold.set",
  "orphan.ended",
  "revocation.started",
  "operator.refused",
]);
const INFORMATIONAL_SEVERITY = 1;
const MEDIUM_SEVERITY = 3;

/** One record as an OCSF 1.8 event (schema.ocsf.io). Everything that OCSF has no place for rides in `unmapped`. */
export function toOcsf(
  record: AuditRecord,
  product: { readonly version: string; readonly url: string },
): Readonly<Record<string, unknown>> {
  const { class_uid, activity_id, entity: type } = CLASSES[record.action];
  const failed = record.decision === "deny" || record.decision === "error";
  const uid = record.lease ?? record.task ?? record.revocation ?? record.denial;
  const { bucket, seq, at, action, principal, trust, workload, subject, reason, code, rule, policy, trace_id, decision, ...rest } = record;
  return {
    class_uid,
    category_uid: 3,
    activity_id,
    type_uid: class_uid * 100 + activity_id,
    time: Date.parse(at),
    severity_id: MEDIUM.has(action) ? MEDIUM_SEVERITY : INFORMATIONAL_SEVERITY,
    status_id: failed ? 2 : 1,
    ...(code !== undefined && { status_code: code }),
    ...(reason !== undefined && { status_detail: reason }),
    message: action,
    metadata: {
      version: "1.8.0",
      product: { name: "Stint", vendor_name: "Stint", version: product.version },
      uid: `${bucket}.${seq}`,
      log_name: new URL(product.url).host,
      sequence: seq,
      ...(trace_id !== undefined && { correlation_uid: trace_id }),
    },
    actor: {
      user: { uid: subject ?? principal, name: workload ?? principal, type_id: principal.startsWith("operator:") ? 1 : 4 },
      authorizations: [
        { decision: decision ?? "allow", policy: { uid: rule ?? action, ...(policy !== undefined && { version: policy }) } },
      ],
    },
    ...(class_uid === 3004
      ? { entity: { type, uid: uid ?? `${bucket}.${seq}`, name: record.grant ?? action } }
      : { user: { uid: subject ?? principal, name: workload ?? principal, type_id: 4 } }),
    ...(class_uid === 3003 && {
      session: { uid: record.lease ?? record.denial, issuer: record.issuer },
      privileges: record.grant === undefined ? [] : [record.grant],
    }),
    ...(class_uid === 3002 && { auth_protocol_id: 4, is_remote: true }),
    unmapped: {
      bucket,
      principal,
      ...(trust !== undefined && { attestor: trust }),
      ...(record.lease !== undefined && { lease_id: record.lease }),
      ...(record.task !== undefined && { task_id: record.task }),
      ...rest,
    },
  };
}
