import { z } from "zod";
import { ERROR_CODES } from "../errors.ts";
import { LIMITS } from "../lease.ts";
import { WireClaims, WireDenialId, WireName, WireTime, text } from "./common.ts";
import { CredentialsBody } from "./tasks.ts";

/** POST /v1/policy/check: of the bearer's own evidence, or (operators) of supposed claims. */
export const CheckBody = z.strictObject({ ...CredentialsBody.shape, trust: WireName.optional(), claims: WireClaims.optional() }).meta({ id: "PolicyCheck" });
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
          z.strictObject({ condition: z.string(), held: z.boolean(), wanted: z.string(), got: z.unknown().optional(), anchor: z.boolean(), note: z.string().optional() }),
        ),
      }),
    ),
    nearest: z.strictObject({ rule: z.string(), held: z.int(), of: z.int(), change: z.array(z.string()) }).nullable(),
  })
  .meta({ id: "DecisionTrace" });
export type TraceView = z.infer<typeof TraceView>;

/** A decision without anything issued. Callers see what a refusal would tell them; operators also the trace. */
export const CheckView = z
  .strictObject({
    decision: z.enum(["allow", "deny"]),
    grant: z.string(),
    code: z.enum(ERROR_CODES).nullable(),
    message: z.string().nullable(),
    failed_claims: z.array(z.string()).optional(),
    yours: z.record(z.string(), z.unknown()).optional(),
    hint: z.string().optional(),
    expires_in: z.int().nonnegative().nullable().meta({ description: "Seconds a credential would live, when allowed." }),
    limited_by: z.enum(LIMITS).nullable(),
    trace: TraceView.optional(),
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

export const ExplainView = z
  .strictObject({ denial: DenialRecordView.nullable(), now: CheckView.nullable().meta({ description: "The same request on the policy now in force." }) })
  .meta({ id: "PolicyExplanation" });
export type ExplainView = z.infer<typeof ExplainView>;

/** POST /v1/policy/simulate: what would change if these files were the configuration. */
export const SimulateBody = z
  .strictObject({
    files: z.array(z.strictObject({ name: text(256), text: z.string().max(65_536) })).min(1).max(256),
    cases: z.array(z.strictObject({ ...CredentialsBody.shape, trust: WireName, claims: WireClaims })).max(256).optional(),
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
    policy: z.string().nullable().meta({ description: "Version of the proposed configuration; null when it does not load." }),
    problems: z.array(FindingView),
    results: z.array(z.strictObject({ case: z.string(), before: CheckView, after: CheckView, changed: z.boolean() })),
    changed: z.int().nonnegative(),
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
      task: z.string().nullable().meta({ description: "What the trust's task template rendered, or the task of a task token." }),
      claims: WireClaims,
      evidence_expires_at: WireTime,
      grants: z.array(z.strictObject({ name: z.string(), description: z.string().nullable(), sensitivity: z.string() })).meta({ description: "Those the policy would allow now." }),
    }),
    z.strictObject({ kind: z.literal("operator"), name: z.string(), role: z.enum(["viewer", "approver", "responder", "admin"]) }),
    z.strictObject({ kind: z.literal("verifier"), name: z.string(), audience: z.string(), checks: z.string() }),
  ])
  .meta({ id: "Whoami" });
export type WhoamiView = z.infer<typeof WhoamiView>;
