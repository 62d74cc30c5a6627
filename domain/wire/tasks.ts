import { z } from "zod";
import { ENDED_BY, LEASE_OUTCOMES, LIMITS, REVOCATIONS } from "../lease.ts";
import { TASK_OUTCOMES } from "../task.ts";
import {
  WireBind,
  WireDuration,
  WireLeaseId,
  WireName,
  WirePurpose,
  WireRevocationId,
  WireScope,
  WireTaskId,
  WireTime,
  WireWorkload,
  pageOf,
  paging,
} from "./common.ts";
import { CredentialMaterial } from "./credential.ts";

/** POST /v1/tasks, with evidence as Bearer. */
export const OpenTaskBody = z
  .strictObject({
    purpose: WirePurpose.optional(),
    ttl: WireDuration.optional(),
    heartbeat: WireDuration.optional().meta({ description: "A task that asked for heartbeats ends when one is missed." }),
    parent: WireTaskId.optional().meta({ description: "The task this one ends with." }),
    bind: WireBind.optional(),
  })
  .meta({ id: "OpenTask" });
export type OpenTaskBody = z.infer<typeof OpenTaskBody>;

export const OpenedTaskView = z
  .strictObject({ task: WireTaskId, task_token: z.string(), expires_at: WireTime, heartbeat_by: WireTime.optional() })
  .meta({ id: "OpenedTask" });
export type OpenedTaskView = z.infer<typeof OpenedTaskView>;

/** POST /v1/tasks/{id}/credentials. */
export const CredentialsBody = z
  .strictObject({
    grant: WireName,
    ttl: WireDuration.optional(),
    scope: WireScope.optional(),
    purpose: WirePurpose.optional(),
    resource: z.string().min(1).max(2048).optional(),
    environment: z.string().min(1).max(256).optional(),
    options: z
      .record(z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, "expected a name such as public_key"), z.unknown())
      .optional()
      .meta({ description: "What the issuer takes beside: a public key, a CSR, narrower permissions." }),
  })
  .meta({ id: "RequestCredential" });
export type CredentialsBody = z.infer<typeof CredentialsBody>;

/** What a credential request or a renewal answers: the only bodies, beside the token response, that hold a credential. */
export const CredentialView = z
  .strictObject({
    lease_id: WireLeaseId,
    task_id: WireTaskId,
    grant: z.string(),
    issuer: z.string(),
    credential: CredentialMaterial,
    expires_at: WireTime,
    limited_by: z.enum(LIMITS),
    revocation: z.enum(REVOCATIONS),
    dead_by: WireTime,
  })
  .meta({ id: "Credential" });
export type CredentialView = z.infer<typeof CredentialView>;

/** POST /v1/tasks/{id}/complete. */
export const CompleteBody = z
  .strictObject({ outcome: z.enum(TASK_OUTCOMES), by: z.enum(["complete", "exit"]).optional() })
  .meta({ id: "CompleteTask" });
export type CompleteBody = z.infer<typeof CompleteBody>;

/** What ending a task or a revocation did to each lease, as it stands now. */
export const ReceiptView = z
  .strictObject({
    task: WireTaskId.optional(),
    revocation: WireRevocationId.optional(),
    ended_by: z.enum(ENDED_BY).nullable(),
    settled: z.boolean().meta({ description: "True when nothing is left to do: each lease is gone, or will be by a known time." }),
    leases: z.array(
      z.strictObject({
        lease_id: WireLeaseId,
        issuer: z.string(),
        outcome: z.enum(LEASE_OUTCOMES),
        revocation: z.enum(REVOCATIONS),
        dead_by: WireTime.nullable().meta({ description: "Null while a target has not confirmed." }),
        took_ms: z.int().nonnegative().nullable(),
        reason: z.string().optional(),
      }),
    ),
    dead_by: WireTime.nullable().meta({
      description: "When the last of them is dead everywhere; null when there was none, or it is not known.",
    }),
    more: z.int().nonnegative().meta({ description: "Leases beyond those listed." }),
  })
  .meta({ id: "Receipt" });
export type ReceiptView = z.infer<typeof ReceiptView>;

export const TaskView = z
  .strictObject({
    id: WireTaskId,
    state: z.enum(["open", "ended"]),
    subject: z.string(),
    workload: z.string(),
    trust: z.string(),
    value: z.string().nullable().meta({ description: "What the trust's task template rendered, for implicit tasks." }),
    parent: WireTaskId.nullable(),
    purpose: z.string().nullable(),
    opened_at: WireTime,
    expires_at: WireTime,
    heartbeat_by: WireTime.nullable(),
    ended_at: WireTime.nullable(),
    ended_by: z.enum(ENDED_BY).nullable(),
    outcome: z.enum(TASK_OUTCOMES).nullable(),
    receipt: ReceiptView.optional().meta({ description: "When one ended task is read." }),
  })
  .meta({ id: "Task" });
export type TaskView = z.infer<typeof TaskView>;

export const TaskQuery = z.strictObject({ workload: WireWorkload.optional(), state: z.enum(["open", "ended"]).optional(), ...paging });
export type TaskQuery = z.infer<typeof TaskQuery>;
export const TaskPage = pageOf(TaskView, "TaskPage");
export type TaskPage = z.infer<typeof TaskPage>;
