import { z } from "zod";
import { AUDIT_ACTIONS } from "../audit-event.ts";
import { ERROR_CODES } from "../errors.ts";
import { REVOCATIONS } from "../lease.ts";
import { MAX_TOKEN_CHARS } from "./oauth.ts";
import {
  WireDuration, WireLeaseId, WireLockId, WireName, WireReason, WireRevocationId, WireTaskId, WireTime, WireWorkload, pageOf, paging, text,
} from "./common.ts";
import { LeaseView } from "./leases.ts";
import { ReceiptView } from "./tasks.ts";

const exactlyOne = (value: object): boolean => Object.values(value).filter((member) => member !== undefined).length === 1;
const lockable = { workload: WireWorkload.optional(), trust: WireName.optional(), grant: WireName.optional(), issuer: WireName.optional(), all: z.literal(true).optional() };

/** What a revocation covers: exactly one member. `credential` is the credential itself or `sha256:<hex>`. */
export const RevocationSelector = z
  .strictObject({ lease: WireLeaseId.optional(), task: WireTaskId.optional(), ...lockable, credential: z.string().min(1).max(MAX_TOKEN_CHARS).optional() })
  .refine(exactlyOne, "expected exactly one of lease, task, workload, grant, issuer, trust, credential, all")
  .meta({ id: "RevocationSelector" });
export type RevocationSelector = z.infer<typeof RevocationSelector>;

/** What a lock covers: exactly one member. */
export const LockSelector = z.strictObject(lockable).refine(exactlyOne, "expected exactly one of workload, trust, grant, issuer, all").meta({ id: "LockSelector" });
export type LockSelector = z.infer<typeof LockSelector>;

/** POST /v1/revocations. */
export const RevocationBody = z
  .strictObject({ selector: RevocationSelector, reason: WireReason, lock: WireDuration.optional(), dry_run: z.boolean().optional() })
  .meta({ id: "StartRevocation" });
export type RevocationBody = z.infer<typeof RevocationBody>;

export const RevocationView = z
  .strictObject({
    id: WireRevocationId,
    state: z.enum(["marking", "cleaning", "done"]),
    selector: z.record(z.string(), z.unknown()).meta({ description: "As asked for; a credential stands as its sha256." }),
    reason: z.string(),
    by: z.string(),
    at: WireTime,
    matched: z.int().nonnegative(),
    ended: z.int().nonnegative(),
    in_force_at: WireTime.nullable(),
    lock: WireLockId.nullable(),
    receipt: ReceiptView,
  })
  .meta({ id: "Revocation" });
export type RevocationView = z.infer<typeof RevocationView>;
export const RevocationPage = pageOf(RevocationView, "RevocationPage");
export type RevocationPage = z.infer<typeof RevocationPage>;

/** What `dry_run` answers: what would end, by issuer and by how it dies, and some of the leases. */
export const RevocationPlanView = z
  .strictObject({
    dry_run: z.literal(true),
    selector: z.record(z.string(), z.unknown()),
    matched: z.int().nonnegative(),
    tasks: z.int().nonnegative(),
    by_revocation: z.record(z.enum(REVOCATIONS), z.int().nonnegative()),
    by_issuer: z.record(z.string(), z.int().nonnegative()),
    dead_by: WireTime.nullable().meta({ description: "When the last of those that only expire would die." }),
    leases: z.array(LeaseView).max(1000),
  })
  .meta({ id: "RevocationPlan" });
export type RevocationPlanView = z.infer<typeof RevocationPlanView>;

/** POST /v1/locks. */
export const LockBody = z
  .strictObject({ selector: LockSelector, ttl: WireDuration, reason: WireReason, message: text(512).optional().meta({ description: "What refused callers are told." }) })
  .meta({ id: "AddLock" });
export type LockBody = z.infer<typeof LockBody>;

export const LockView = z
  .strictObject({
    id: WireLockId,
    selector: z.record(z.string(), z.unknown()),
    until: WireTime,
    reason: z.string(),
    message: z.string().nullable(),
    by: z.string(),
    at: WireTime,
  })
  .meta({ id: "Lock" });
export type LockView = z.infer<typeof LockView>;
export const LockPage = pageOf(LockView, "LockPage");
export type LockPage = z.infer<typeof LockPage>;

/** GET /v1/audit, newest first. `since` is an instant, or a span back from now. */
export const AuditQuery = z.strictObject({
  since: z.union([WireTime, WireDuration]).optional(),
  until: WireTime.optional(),
  action: z.enum(AUDIT_ACTIONS).optional(),
  decision: z.enum(["allow", "deny", "error"]).optional(),
  code: z.enum(ERROR_CODES).optional(),
  principal: text(512).optional(),
  workload: WireWorkload.optional(),
  subject: WireWorkload.optional(),
  grant: WireName.optional(),
  task: WireTaskId.optional(),
  lease: WireLeaseId.optional(),
  trace_id: z.string().regex(/^[0-9a-f]{32}$/, "expected a trace id").optional(),
  ...paging,
});
export type AuditQuery = z.infer<typeof AuditQuery>;

/** One record: the members of its action beside these. */
export const AuditRecordView = z
  .looseObject({ bucket: z.int(), seq: z.int(), at: WireTime, action: z.enum(AUDIT_ACTIONS), principal: z.string() })
  .meta({ id: "AuditRecord" });
export type AuditRecordView = z.infer<typeof AuditRecordView>;
export const AuditPage = pageOf(AuditRecordView, "AuditPage");
export type AuditPage = z.infer<typeof AuditPage>;

/** GET /v1/events: which live records to send. */
export const EventQuery = z.strictObject({ action: z.enum(AUDIT_ACTIONS).optional(), workload: WireWorkload.optional() });
export type EventQuery = z.infer<typeof EventQuery>;

export const HoldView = z
  .strictObject({
    held: z.boolean(),
    since: WireTime.nullable(),
    reason: z.string().nullable(),
    waiting: z.array(LeaseView).meta({ description: "Revocations at targets that wait while the hold stands." }),
    clock_ahead_ms: z.int().nullable().meta({ description: "Set while a bucket's high-water mark of the clock lies more than 60 s ahead." }),
  })
  .meta({ id: "Hold" });
export type HoldView = z.infer<typeof HoldView>;

/** POST /v1/hold. */
export const HoldBody = z.strictObject({ action: z.literal("clear"), reason: WireReason }).meta({ id: "ChangeHold" });
export type HoldBody = z.infer<typeof HoldBody>;

export const KEY_STATES = ["announced", "active", "retired", "destroyed", "withdrawn"] as const;
export const KeyView = z
  .strictObject({
    kid: z.string(),
    alg: z.string(),
    state: z.enum(KEY_STATES),
    created_at: WireTime,
    active_at: WireTime.nullable(),
    retired_at: WireTime.nullable(),
    destroy_at: WireTime.nullable(),
  })
  .meta({ id: "SigningKey" });
export type KeyView = z.infer<typeof KeyView>;
export const KeyPage = pageOf(KeyView, "SigningKeyPage");
export type KeyPage = z.infer<typeof KeyPage>;

/** POST /v1/keys: rotate announces a successor (or switches to the announced one at once), withdraw kills a leaked key. */
export const KeyBody = z
  .discriminatedUnion("action", [
    z.strictObject({ action: z.literal("rotate"), immediately: z.boolean().optional() }),
    z.strictObject({ action: z.literal("withdraw"), kid: z.string().regex(/^[A-Za-z0-9_-]{43}$/, "expected a key id"), reason: WireReason }),
  ])
  .meta({ id: "ChangeKeys" });
export type KeyBody = z.infer<typeof KeyBody>;

/** What changing keys answers; withdrawing one also revokes what it signed. */
export const KeysChangedView = z.strictObject({ keys: z.array(KeyView), revocation: RevocationView.nullable() }).meta({ id: "KeysChanged" });
export type KeysChangedView = z.infer<typeof KeysChangedView>;
