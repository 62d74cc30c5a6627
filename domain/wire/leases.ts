import { z } from "zod";
import { ENDED_BY, LEASE_STATES, REVOCATIONS } from "../lease.ts";
import {
  WireDuration,
  WireLeaseId,
  WireName,
  WireReason,
  WireSha256,
  WireTaskId,
  WireTime,
  WireWorkload,
  pageOf,
  paging,
  text,
} from "./common.ts";
import { ReceiptView } from "./tasks.ts";

export const LeaseView = z
  .strictObject({
    id: WireLeaseId,
    state: z.enum(LEASE_STATES),
    subject: z.string(),
    workload: z.string(),
    trust: z.string(),
    grant: z.string(),
    issuer: z.string(),
    task: WireTaskId,
    opened_at: WireTime,
    expires_at: WireTime,
    ended_at: WireTime.nullable(),
    ended_by: z.enum(ENDED_BY).nullable(),
    revocation: z.enum(REVOCATIONS),
    attempts: z.int().nonnegative(),
    last_error: z.string().nullable(),
    last_used_at: WireTime.nullable().optional().meta({ description: "As verifiers reported it; null when none did. For operators." }),
    used_after_end: z
      .strictObject({ at: WireTime, count: z.int().positive() })
      .nullable()
      .optional()
      .meta({ description: "The last reported attempt to use it after its end. For operators." }),
    never_released: z.boolean().optional().meta({ description: "It ran out, or its task did: nobody gave it back. For operators." }),
  })
  .meta({ id: "Lease" });
export type LeaseView = z.infer<typeof LeaseView>;

/** GET /v1/leases. Filters other than workload and task walk the due index: a page may be short and still have a successor. */
export const LeaseQuery = z.strictObject({
  workload: WireWorkload.optional(),
  task: WireTaskId.optional(),
  grant: WireName.optional(),
  issuer: WireName.optional(),
  trust: WireName.optional(),
  state: z.enum(LEASE_STATES).optional(),
  credential_sha256: WireSha256.optional(),
  external_name: text(512).optional(),
  used_after_end: z
    .literal("true")
    .optional()
    .meta({ description: "Those that somebody tried to use after their end, as far as remembered." }),
  ...paging,
});
export type LeaseQuery = z.infer<typeof LeaseQuery>;
export const LeasePage = pageOf(LeaseView, "LeasePage");
export type LeasePage = z.infer<typeof LeasePage>;

/** POST /v1/leases/{id}/renew. */
export const RenewBody = z.strictObject({ ttl: WireDuration.optional() }).meta({ id: "RenewLease" });
export type RenewBody = z.infer<typeof RenewBody>;

/** POST /v1/leases/{id}/close: an admin declares a lease over that could not be revoked. */
export const CloseBody = z.strictObject({ reason: WireReason }).meta({ id: "CloseLease" });
export type CloseBody = z.infer<typeof CloseBody>;

/** What releasing answers: the lease, and what became of it. */
export const ReleasedView = z.strictObject({ lease: LeaseView, receipt: ReceiptView.shape.leases.element }).meta({ id: "Released" });
export type ReleasedView = z.infer<typeof ReleasedView>;

/** A body that says nothing: `{}` or none at all. */
export const EmptyBody = z.strictObject({}).meta({ id: "Empty" });
