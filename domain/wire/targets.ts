import { z } from "zod";
import { REVOCATIONS } from "../lease.ts";
import { pageOf, WireLeaseId, WireReason, WireTime } from "./common.ts";

/** What comparing a target with the store brought to light, and what was done about it. */
export const FindingsView = z
  .strictObject({
    at: WireTime,
    mode: z.enum(["done", "shown"]).meta({ description: "shown: on hold or on request nothing was done." }),
    seen: z.int().nonnegative().meta({ description: "Things of ours at the target." }),
    orphaned: z.int().nonnegative().meta({ description: "At the target, and no lease wants them." }),
    orphans: z.array(WireLeaseId).meta({ description: "The first hundred of these." }),
    missed: z.int().nonnegative().meta({ description: "Leases whose thing is not at the target any more." }),
    missing: z.array(WireLeaseId),
    failed: z.int().nonnegative().meta({ description: "Orphans that could not be ended; the next comparison tries again." }),
  })
  .meta({ id: "Findings" });
export type FindingsView = z.infer<typeof FindingsView>;

export const TargetView = z
  .strictObject({
    name: z.string(),
    issuer: z.string().meta({ description: "Kind of credential that is made there." }),
    owner: z.string().nullable(),
    state: z.enum(["open", "failing", "left_alone", "retired"]).meta({
      description: "left_alone: it did not answer several times and is not called for a moment. retired: the policy no longer has it.",
    }),
    revocation: z.enum(REVOCATIONS),
    making: z.int().nonnegative().meta({ description: "Credentials being made there now, by this broker." }),
    ending: z.int().nonnegative().meta({ description: "Leases being ended there now, by this broker." }),
    waiting: z.int().nonnegative().meta({
      description:
        "Leases that wait to be ended there, as far as this broker has claimed them: for their turn, or until the target is called again.",
    }),
    server: z.string().nullable(),
    password_changed_at: WireTime.nullable().meta({
      description: "When the broker last changed its own password or key there; null: never.",
    }),
    quota: z.strictObject({ left: z.int(), of: z.int(), resets_at: WireTime }).nullable(),
    warnings: z.array(z.string()),
    findings: FindingsView.nullable().meta({ description: "Of the last comparison with the store; null where none was made or can be." }),
    trouble: z
      .strictObject({ at: WireTime, what: z.enum(["reconcile", "examine", "rotate", "issue", "revoke"]), error: z.string() })
      .nullable(),
  })
  .meta({ id: "Target" });
export type TargetView = z.infer<typeof TargetView>;
export const TargetPage = pageOf(TargetView, "TargetPage");
export type TargetPage = z.infer<typeof TargetPage>;

/** POST /v1/targets/{name}/reconcile. */
export const ReconcileBody = z.strictObject({ dry_run: z.boolean().optional(), reason: WireReason.optional() }).meta({ id: "Reconcile" });
export type ReconcileBody = z.infer<typeof ReconcileBody>;

/** POST /v1/targets/{name}/rotate. */
export const RotateTargetBody = z.strictObject({ reason: WireReason.optional() }).meta({ id: "RotateTarget" });
export type RotateTargetBody = z.infer<typeof RotateTargetBody>;
