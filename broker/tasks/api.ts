import type { LeaseId, RevocationId, TaskId } from "../../domain/ids.ts";
import type { EndedBy, LeaseOutcome, RevocationClass } from "../../domain/lease.ts";
import type { Secret } from "../../domain/secret.ts";
import type { Task, TaskOutcome } from "../../domain/task.ts";
import type { Page } from "../../store/api.ts";
import type { Caller, GrantRequest, IdempotencyHint, Origin } from "../callers.ts";
import type { IssuedCredential } from "../leases/api.ts";

export interface OpenTaskRequest {
  readonly evidence: Secret;
  readonly purpose: string | undefined;
  readonly ttlMs: number | undefined;
  readonly heartbeatMs: number | undefined;
  readonly parent: string | undefined;
  readonly bind?: "certificate" | undefined;
  readonly idempotency: IdempotencyHint | undefined;
  readonly origin: Origin;
}

export interface TaskCredentialRequest extends GrantRequest {
  readonly grant: string;
  readonly taskId: string;
  readonly taskToken: Secret;
  readonly idempotency: IdempotencyHint | undefined;
  readonly origin: Origin;
}

/** What became of everything that a task or a revocation ended. */
export interface Receipt {
  readonly task: TaskId | undefined;
  readonly revocation: RevocationId | undefined;
  readonly endedBy: EndedBy | undefined;
  /** Nothing is left for the broker to do: every lease is gone, or will be by a time that is known. */
  readonly settled: boolean;
  readonly leases: readonly ReceiptLease[];
  /** The latest instant at which anything of it may still be honoured; undefined when there was nothing or it is not known. */
  readonly deadBy: number | undefined;
  /** Leases beyond those listed (a revocation lists 1,000). */
  readonly more: number;
}

export interface ReceiptLease {
  readonly leaseId: LeaseId;
  readonly issuer: string;
  readonly outcome: LeaseOutcome;
  readonly revocation: RevocationClass;
  /** Undefined while a target has not confirmed. */
  readonly deadBy: number | undefined;
  readonly tookMs: number | undefined;
  readonly reason: string | undefined;
}

export interface TaskService {
  open(request: OpenTaskRequest): Promise<{ readonly task: Task; readonly taskToken: Secret; readonly joined: boolean }>;
  /** Throws `not_found` alike for foreign and unknown ids. The receipt is there once the task has ended. */
  get(id: string, caller: Caller, origin: Origin): Promise<{ readonly task: Task; readonly receipt: Receipt | undefined }>;
  list(
    filter: { readonly workload?: string | undefined; readonly state?: string | undefined },
    cursor: string | undefined,
    limit: number,
  ): Promise<Page<Task>>;
  /** A credential under the task; policy is evaluated anew. */
  credential(request: TaskCredentialRequest): Promise<IssuedCredential>;
  /** Throws `task_ended` when there is nothing left to keep alive. */
  heartbeat(id: string, taskToken: Secret, origin: Origin): Promise<Task>;
  /** Ends the task and its children; waits at most 2 s for what can be revoked now. Twice: the same receipt as it now stands. */
  complete(request: {
    readonly taskId: string;
    readonly taskToken: Secret;
    readonly outcome: TaskOutcome;
    readonly by: "complete" | "exit";
    readonly origin: Origin;
  }): Promise<Receipt>;
}
