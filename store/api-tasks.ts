/** Tasks: what opening, keeping and ending them take and answer. */
import type { AuditFacts } from "../domain/audit-event.ts";
import type { LeaseId, TaskId } from "../domain/ids.ts";
import type { EndedBy } from "../domain/lease.ts";
import type { Principal } from "../domain/principal.ts";
import type { Task, TaskOutcome } from "../domain/task.ts";
import type { DenialRecord, Idempotency, LeaseEnding, Page, Refused } from "./api-leases.ts";

export interface OpenTaskOrder {
  readonly taskId: TaskId;
  readonly principal: Principal;
  readonly ttlMs: number;
  readonly heartbeatMs: number | undefined;
  readonly purpose: string | undefined;
  readonly parent: TaskId | undefined;
  /** When set, an implicit task of this value is joined or opened; for `heldMs` from its opening the value stands for no other one. */
  readonly implicit: { readonly value: string; readonly ttlMs: number; readonly heldMs?: number } | undefined;
  readonly idempotency: Idempotency | undefined;
  readonly audit: AuditFacts;
  readonly denial: DenialRecord;
  readonly retentionMs: number;
}

export interface TaskStore {
  open(order: OpenTaskOrder): Promise<{ readonly outcome: "opened" | "joined" | "replayed"; readonly task: Task } | Refused>;
  get(id: TaskId): Promise<Task | undefined>;
  list(
    filter: { readonly workload?: string | undefined; readonly state?: string | undefined },
    cursor: string | undefined,
    limit: number,
  ): Promise<Page<Task>>;
  heartbeat(id: TaskId): Promise<Task | undefined>;
  /**
   * Ends the task and its children: no lease can be opened under them from the first script on; their leases end in batches of a
   * hundred. `family` is the task and all that ended with it, `revoking` their leases that still need a call at their target. Ending
   * an ended task changes nothing and answers the same.
   * By `deadline` or `heartbeat` it ends only if that has really passed (else the task comes back open).
   */
  end(
    id: TaskId,
    by: EndedBy,
    outcome: TaskOutcome | undefined,
    audit: AuditFacts,
    retentionMs: number,
  ): Promise<{ readonly task: Task; readonly family: ReadonlySet<TaskId>; readonly revoking: ReadonlySet<LeaseId> } | undefined>;
  /** Ids of tasks of a bucket past their deadline or heartbeat, with which it was; and of those whose ending was interrupted. */
  due(bucket: number, limit: number): Promise<readonly { readonly id: TaskId; readonly by: EndedBy }[]>;
  /** How every lease of the task stands, for its receipt, about a thousand a page. */
  endings(id: TaskId): AsyncIterable<readonly LeaseEnding[]>;
}
