import { z } from "zod";
import { ERROR_CODES } from "../errors.ts";
import { LIMITS } from "../lease.ts";
import { WireClaims, WireDenialId, WireName, WireTaskId, WireTime, text } from "./common.ts";
import { CredentialsBody } from "./tasks.ts";

/** POST /v1/policy/check: of the bearer's own evidence, or (operators) of supposed claims. */
export const CheckBody = z
  .strictObject({ ...CredentialsBody.shape, trust: WireName.optional(), claims: WireClaims.optional() })
  .meta({ id: "PolicyCheck" });
export type CheckBody = z.infer<typeof CheckBody>;

/** The reasoning, for operators: each rule, each condition, what was wanted and what was there. */
export const TraceView = z
  .strictObject({
    grant: z.string(),
    grant_exists: z.boolean(),
    candidate: z.boolean(),
    policy: z.string(),
    rules: z.array(
      z.strictObject({
        rule: z.string(),
        effect: z.enum(["allow", "deny"]),
        file: z.string(),
        line: z.int(),
        matched: z.boolean(),
        applies: z.boolean(),
        conditions: z.array(
          z.strictObject({
            condition: z.string(),
            held: z.boolean(),
            wanted: z.string(),
            got: z.unknown().optional(),
            anchor: z.boolean(),
            note: z.string().optional(),
          }),
        ),
      }),
    ),
    nearest: z.strictObject({ rule: z.string(), held: z.int(), of: z.int(), change: z.array(z.string()) }).nullable(),
  })
  .meta({ id: "DecisionTrace" });
export type TraceView = z.infer<typeof TraceView>;

/** A decision without anything issued: what a refusal would tell the caller, or what would be given. */
export const CheckView = z
  .strictObject({
    allowed: z.boolean(),
    grant: z.string(),
    code: z.enum(ERROR_CODES).nullable(),
    message: z.string().nullable(),
    failed_claims: z.array(z.string()).optional(),
    hint: z.string().optional(),
    scope: z.array(z.string()).nullable(),
    expires_in: z.int().nonnegative().nullable().meta({ description: "Seconds a credential would live." }),
    limited_by: z.enum(LIMITS).nullable(),
    trace: TraceView.optional().meta({ description: "Only for operators." }),
  })
  .meta({ id: "PolicyDecision" });
export type CheckView = z.infer<typeof CheckView>;

export const DenialRecordView = z
  .strictObject({
    id: WireDenialId,
    at: WireTime,
    code: z.enum(ERROR_CODES),
    message: z.string(),
    failed_claims: z.array(z.string()).optional(),
    yours: z.record(z.string(), z.unknown()).optional(),
    hint: z.string().optional(),
    principal: z.strictObject({ trust: z.string(), subject: z.string(), workload: z.string(), claims: WireClaims }).nullable(),
    grant: z.string().nullable(),
    action: z.strictObject({ verifier: z.string(), method: z.string(), path: z.string(), host: z.string() }).optional(),
    trace: TraceView.nullable(),
    route: z.string(),
    trace_id: z.string(),
  })
  .meta({ id: "Denial" });
export type DenialRecordView = z.infer<typeof DenialRecordView>;

/** POST /v1/policy/explain: a denial by its id (tried again on today's policy), or supposed claims. */
export const ExplainBody = z
  .union([z.strictObject({ denial_id: WireDenialId }), z.strictObject({ ...CredentialsBody.shape, trust: WireName, claims: WireClaims })])
  .meta({ id: "PolicyExplain" });
export type ExplainBody = z.infer<typeof ExplainBody>;

const verdict = { allowed: z.boolean(), code: z.enum(ERROR_CODES).nullable(), trace: TraceView };
export const ExplainView = z
  .strictObject({
    ...verdict,
    denial: DenialRecordView.nullable(),
    today: z.strictObject(verdict).nullable().meta({ description: "The same request on the policy now in force." }),
  })
  .meta({ id: "PolicyExplanation" });
export type ExplainView = z.infer<typeof ExplainView>;

/** POST /v1/policy/simulate: what would change if these files were the configuration. */
export const SimulateBody = z
  .strictObject({
    files: z
      .array(z.strictObject({ name: text(256), text: z.string().max(65_536) }))
      .min(1)
      .max(256),
    cases: z
      .array(z.strictObject({ ...CredentialsBody.shape, trust: WireName, claims: WireClaims }))
      .max(256)
      .optional(),
    denials: z.array(WireDenialId).max(256).optional(),
  })
  .meta({ id: "PolicySimulate" });
export type SimulateBody = z.infer<typeof SimulateBody>;

/** A mistake in a configuration file, placed. */
export const FindingView = z
  .strictObject({
    file: z.string().optional(),
    line: z.int().optional(),
    column: z.int().optional(),
    path: z.string().optional(),
    rule: z.string().optional(),
    severity: z.enum(["error", "warning"]),
    message: z.string(),
    help: z.string().optional(),
  })
  .meta({ id: "Finding" });
export type FindingView = z.infer<typeof FindingView>;

export const SimulateView = z
  .strictObject({
    policy: z.string().meta({ description: "Version of the proposed configuration." }),
    problems: z.array(FindingView),
    cases: z.int().nonnegative(),
    differences: z.array(
      z.strictObject({ grant: z.string(), workload: z.string(), denial: WireDenialId.nullable(), before: z.string(), after: z.string() }),
    ),
    leases_of_vanished_grants: z.int().nonnegative().meta({ description: "Live leases of grants that the proposal no longer has." }),
  })
  .meta({ id: "PolicySimulation" });
export type SimulateView = z.infer<typeof SimulateView>;

/** GET /v1/whoami: what the broker sees in what the caller presented. */
export const WhoamiView = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("workload"),
      trust: z.string(),
      subject: z.string(),
      workload: z.string(),
      task: WireTaskId.nullable(),
      task_value: z.string().nullable().meta({ description: "What the trust's task template rendered." }),
      claims: WireClaims,
      evidence_expires_at: WireTime,
      grants: z.array(z.string()).meta({ description: "Names of those the policy would give now." }),
    }),
    z.strictObject({ kind: z.literal("operator"), name: z.string(), role: z.enum(["viewer", "approver", "responder", "admin"]) }),
  ])
  .meta({ id: "Whoami" });
export type WhoamiView = z.infer<typeof WhoamiView>;
