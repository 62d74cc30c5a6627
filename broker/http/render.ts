import type { DecisionTrace } from "../../domain/decision.ts";
import type { Lease } from "../../domain/lease.ts";
import type { Task } from "../../domain/task.ts";
import { toRfc3339 } from "../../domain/time.ts";
import type {
  DenialRecordView,
  HoldView,
  KeyView,
  LeaseView,
  LockView,
  ReceiptView,
  RevocationPlanView,
  RevocationView,
  TaskView,
  TraceView,
} from "../../domain/wire.ts";
import type { DenialRecord, LeaseUse, Lock, Page } from "../../store/api.ts";
import type { DryRun, HoldView as Hold, KeyView as Key, Receipt, ReceiptLease, Revocation } from "../services.ts";

/** The views of what services return: times in RFC 3339, absent members as null. None of them can hold a credential. */

const timeOrNull = (ms: number | undefined): string | null => (ms === undefined ? null : toRfc3339(ms));

export const pageView = <T, V>(page: Page<T>, view: (item: T) => V): { items: V[]; next_cursor: string | null } => ({
  items: page.items.map(view),
  next_cursor: page.nextCursor ?? null,
});

/** A page of a list that its service returns whole: in order of ids, after the one that the cursor names. */
export function pageOfWhole<T, V>(
  all: readonly T[],
  idOf: (item: T) => string,
  view: (item: T) => V,
  cursor: string | undefined,
  limit: number,
): { items: V[]; next_cursor: string | null } {
  const rest = all.toSorted((a, b) => (idOf(a) < idOf(b) ? -1 : 1)).filter((item) => cursor === undefined || idOf(item) > cursor);
  const items = rest.slice(0, limit);
  const last = items.at(-1);
  return { items: items.map(view), next_cursor: last !== undefined && rest.length > items.length ? idOf(last) : null };
}

export const leaseView = (lease: Lease): LeaseView => ({
  id: lease.id,
  state: lease.state,
  subject: lease.subject,
  workload: lease.workload,
  trust: lease.trust,
  grant: lease.grant,
  issuer: lease.issuer,
  task: lease.task,
  opened_at: toRfc3339(lease.openedAt),
  expires_at: toRfc3339(lease.expiresAt),
  ended_at: timeOrNull(lease.endedAt),
  ended_by: lease.endedBy ?? null,
  revocation: lease.revocation,
  attempts: lease.attempts,
  last_error: lease.lastError ?? null,
});

/** A lease as operators see it: with what verifiers told of its use. */
export const usedLeaseView = (lease: Lease, use: LeaseUse | undefined): LeaseView => ({
  ...leaseView(lease),
  last_used_at: timeOrNull(use?.lastUsedAt),
  used_after_end: use?.afterEnd === undefined ? null : { at: toRfc3339(use.afterEnd.at), count: use.afterEnd.count },
  never_released: lease.endedBy === "heartbeat" || lease.endedBy === "deadline" || lease.endedBy === "expiry",
});

export const taskView = (task: Task, receipt?: Receipt): TaskView => ({
  id: task.id,
  state: task.state,
  subject: task.subject,
  workload: task.workload,
  trust: task.trust,
  value: task.value ?? null,
  parent: task.parent ?? null,
  purpose: task.purpose ?? null,
  opened_at: toRfc3339(task.openedAt),
  expires_at: toRfc3339(task.expiresAt),
  heartbeat_by: timeOrNull(task.heartbeatBy),
  ended_at: timeOrNull(task.endedAt),
  ended_by: task.endedBy ?? null,
  outcome: task.outcome ?? null,
  ...(receipt === undefined ? {} : { receipt: receiptView(receipt) }),
});

export const receiptLeaseView = (lease: ReceiptLease): ReceiptView["leases"][number] => ({
  lease_id: lease.leaseId,
  issuer: lease.issuer,
  outcome: lease.outcome,
  revocation: lease.revocation,
  dead_by: timeOrNull(lease.deadBy),
  took_ms: lease.tookMs === undefined ? null : Math.max(0, Math.round(lease.tookMs)),
  ...(lease.reason === undefined ? {} : { reason: lease.reason }),
});

export const receiptView = (receipt: Receipt): ReceiptView => ({
  ...(receipt.task === undefined ? {} : { task: receipt.task }),
  ...(receipt.revocation === undefined ? {} : { revocation: receipt.revocation }),
  ended_by: receipt.endedBy ?? null,
  settled: receipt.settled,
  leases: receipt.leases.map(receiptLeaseView),
  dead_by: timeOrNull(receipt.deadBy),
  more: receipt.more,
});

export const revocationView = (job: Revocation): RevocationView => ({
  id: job.id,
  state: job.state,
  selector: { ...job.selector },
  reason: job.reason,
  by: job.by,
  at: toRfc3339(job.at),
  matched: job.matched,
  ended: job.ended,
  in_force_at: timeOrNull(job.inForceAt),
  lock: job.lockId ?? null,
  receipt: receiptView(job.receipt),
});

export const planView = (plan: DryRun): RevocationPlanView => ({
  dry_run: true,
  selector: { ...plan.selector },
  matched: plan.matched,
  tasks: plan.tasks,
  by_issuer: plan.byIssuer.map(({ deadBy, ...row }) => ({ ...row, dead_by: timeOrNull(deadBy) })),
  leases: plan.leases.slice(0, 100).map(leaseView),
  truncated: plan.truncated,
});

export const lockView = (lock: Lock): LockView => ({
  id: lock.id,
  selector: lock.scope.kind === "all" ? { all: true } : { [lock.scope.kind]: lock.scope.name },
  until: toRfc3339(lock.until),
  reason: lock.reason,
  message: lock.message ?? null,
  by: lock.by,
  at: toRfc3339(lock.at),
});

export const holdView = (hold: Hold): HoldView => ({
  held: hold.held,
  since: timeOrNull(hold.since),
  reason: hold.reason ?? null,
  waiting: hold.waiting.map(leaseView),
  clock_ahead_ms: hold.clockAheadMs ?? null,
});

export const keyView = (key: Key): KeyView => ({
  kid: key.kid,
  alg: key.alg,
  state: key.state,
  created_at: toRfc3339(key.createdAt),
  active_at: timeOrNull(key.activeAt),
  retired_at: timeOrNull(key.retiredAt),
  destroy_at: timeOrNull(key.destroyAt),
});

export const traceView = (trace: DecisionTrace): TraceView => ({
  grant: trace.grant,
  grant_exists: trace.grantExists,
  candidate: trace.candidate,
  policy: trace.policy,
  rules: trace.rules.map(({ conditions, ...rule }) => ({ ...rule, conditions: conditions.map((condition) => ({ ...condition })) })),
  nearest: trace.nearest === undefined ? null : { ...trace.nearest, change: [...trace.nearest.change] },
});

export const denialView = (denial: DenialRecord): DenialRecordView => ({
  id: denial.id,
  at: toRfc3339(denial.at),
  code: denial.view.code,
  message: denial.view.message,
  ...(denial.view.failedClaims === undefined ? {} : { failed_claims: [...denial.view.failedClaims] }),
  ...(denial.view.yours === undefined ? {} : { yours: { ...denial.view.yours } }),
  ...(denial.view.hint === undefined ? {} : { hint: denial.view.hint }),
  principal: denial.principal === undefined ? null : { ...denial.principal, claims: { ...denial.principal.claims } },
  grant: denial.grant ?? null,
  ...(denial.action === undefined ? {} : { action: { ...denial.action } }),
  trace: denial.trace === undefined ? null : traceView(denial.trace),
  route: denial.route,
  trace_id: denial.traceId,
});
