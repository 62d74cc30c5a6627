import { z } from "zod";
import { REVOCATIONS } from "../lease.ts";
import { MAX_TOKEN_CHARS } from "./oauth.ts";
import {
  WireDuration,
  WireLeaseId,
  WireLockId,
  WireName,
  WireReason,
  WireRevocationId,
  WireTaskId,
  WireTime,
  WireWorkload,
  pageOf,
  text,
} from "./common.ts";
import { LeaseView } from "./leases.ts";
import { ReceiptView } from "./tasks.ts";

const exactlyOne = (value: object): boolean => Object.values(value).filter((member) => member !== undefined).length === 1;
const lockable = {
  workload: WireWorkload.optional(),
  trust: WireName.optional(),
  grant: WireName.optional(),
  issuer: WireName.optional(),
  all: z.literal(true).optional(),
};

/** What a revocation covers: exactly one member. `credential` is the credential itself or `sha256:<hex>`. */
export const RevocationSelector = z
  .strictObject({
    lease: WireLeaseId.optional(),
    task: WireTaskId.optional(),
    ...lockable,
    credential: z.string().min(1).max(MAX_TOKEN_CHARS).optional(),
  })
  .refine(exactlyOne, "expected exactly one of lease, task, workload, grant, issuer, trust, credential, all")
  .meta({ id: "RevocationSelector" });
export type RevocationSelector = z.infer<typeof RevocationSelector>;

/** What a lock covers: exactly one member. */
export const LockSelector = z
  .strictObject(lockable)
  .refine(exactlyOne, "expected exactly one of workload, trust, grant, issuer, all")
  .meta({ id: "LockSelector" });
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

/** What `dry_run` answers: what would end, by issuer, and some of the leases. */
export const RevocationPlanView = z
  .strictObject({
    dry_run: z.literal(true),
    selector: z.record(z.string(), z.unknown()),
    matched: z.int().nonnegative(),
    tasks: z.int().nonnegative(),
    by_issuer: z.array(
      z.strictObject({ issuer: z.string(), leases: z.int(), revocation: z.enum(REVOCATIONS), dead_by: WireTime.nullable() }),
    ),
    leases: z.array(LeaseView).max(100),
    truncated: z.boolean().meta({ description: "The walk stopped at its bound: there are at least this many." }),
  })
  .meta({ id: "RevocationPlan" });
export type RevocationPlanView = z.infer<typeof RevocationPlanView>;

/** POST /v1/locks. */
export const LockBody = z
  .strictObject({
    selector: LockSelector,
    ttl: WireDuration,
    reason: WireReason,
    message: text(512).optional().meta({ description: "What refused callers are told." }),
  })
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
