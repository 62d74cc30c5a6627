import { z } from "zod";
import { AUDIT_ACTIONS } from "../audit-event.ts";
import { ERROR_CODES } from "../errors.ts";
import {
  WireDenialId,
  WireDuration,
  WireLeaseId,
  WireName,
  WireReason,
  WireTaskId,
  WireTime,
  WireWorkload,
  pageOf,
  paging,
  text,
} from "./common.ts";
import { LeaseView } from "./leases.ts";
import { RevocationView } from "./revocations.ts";

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
  denial: WireDenialId.optional(),
  trace_id: z
    .string()
    .regex(/^[0-9a-f]{32}$/, "expected a trace id")
    .optional(),
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
    clock_ahead_ms: z
      .int()
      .nullable()
      .meta({ description: "Set while a bucket's high-water mark of the clock lies more than 60 s ahead." }),
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

/** POST /v1/keys: rotate announces a successor, withdraw kills a leaked key at once, reseal follows a new master key. */
export const KeyBody = z
  .discriminatedUnion("action", [
    z.strictObject({
      action: z.literal("rotate"),
      alg: z.enum(["ES256", "RS256"]).optional(),
      reason: WireReason.optional(),
      immediately: z
        .boolean()
        .optional()
        .meta({ description: "Sign with the announced key at once instead of when all verifiers know it." }),
    }),
    z.strictObject({
      action: z.literal("withdraw"),
      kid: z.string().regex(/^[A-Za-z0-9_-]{43}$/, "expected a key id"),
      reason: WireReason,
    }),
    z.strictObject({ action: z.literal("reseal") }),
  ])
  .meta({ id: "ChangeKeys" });
export type KeyBody = z.infer<typeof KeyBody>;

/** What changing keys answers; withdrawing one also revokes what it signed, resealing counts what it sealed anew. */
export const KeysChangedView = z
  .strictObject({ keys: z.array(KeyView), revocation: RevocationView.nullable(), resealed: z.int().nonnegative().nullable() })
  .meta({ id: "KeysChanged" });
export type KeysChangedView = z.infer<typeof KeysChangedView>;
