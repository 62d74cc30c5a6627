import { z } from "zod";
import { ERROR_CODES } from "../errors.ts";
import { WireDenialId, WireName, text } from "./common.ts";

const Context = z
  .record(z.string().min(1).max(256), z.unknown())
  .meta({ id: "Context", description: "Data that a route's when may look at." });
const Path = z.string().min(1).max(8192);

/** POST /v1/authorize: may this token do this? */
export const AuthorizeBody = z
  .strictObject({
    token: z.string().min(1).max(16_384),
    method: z.string().regex(/^[A-Z]{1,16}$/, "expected an HTTP method in capitals"),
    path: Path.meta({ description: "As it was asked for, not decoded; a query may follow." }),
    host: z.string().max(255).optional(),
    ip: z.string().max(64).optional(),
    context: Context.optional(),
    cnf: z
      .record(z.string().min(1).max(64), z.string().min(1).max(256))
      .optional()
      .meta({ description: "Of which key you have seen a proof, as in the token's cnf; a token that is bound is refused without." }),
  })
  .meta({ id: "Authorize" });
export type AuthorizeBody = z.infer<typeof AuthorizeBody>;

/** The answer. `decision` false is an answer like any other: 200. */
export const AuthorizeView = z
  .strictObject({
    decision: z.boolean(),
    decision_id: z.string().optional(),
    code: z.enum(ERROR_CODES).optional(),
    denial_id: WireDenialId.optional(),
    reason: z.string().optional(),
    hint: z.string().optional(),
    rule: z.string().optional().meta({ description: "The route that decided." }),
    scope_needed: z.array(z.string()).optional(),
    subject: z.string().optional(),
    workload: z.string().optional(),
    task_id: z.string().optional(),
    lease_id: z.string().optional(),
    grant: z.string().optional(),
    scope: z.string().optional(),
    exp: z.number().optional().meta({ description: "Seconds: no permit may be kept longer, and a revocation ends it before." }),
  })
  .meta({ id: "Authorization" });
export type AuthorizeView = z.infer<typeof AuthorizeView>;

/** A route as its Verifier document has it. */
export const RouteView = z
  .strictObject({
    method: z.union([z.string(), z.array(z.string())]).optional(),
    path: z.string(),
    require: z.strictObject({ scope: z.array(z.string()).optional() }).optional(),
    when: z.string().optional(),
  })
  .meta({ id: "Route" });

/** GET /v1/verifiers/self/routes: all that a verifier needs to decide for itself. */
export const RoutesView = z
  .strictObject({
    verifier: WireName,
    issuer: z.string(),
    audience: z.string(),
    policy: z.string().meta({ description: "Version of the policy that they come from." }),
    routes: z.array(RouteView).max(1000),
  })
  .meta({ id: "Routes" });
export type RoutesView = z.infer<typeof RoutesView>;

const Properties = z.record(z.string(), z.unknown());
const Entity = z.looseObject({ type: z.string().max(256), id: z.string().max(16_384), properties: Properties.optional() });
const Action = z.looseObject({ name: z.string().max(256), properties: Properties.optional() });

/** AuthZEN Authorization API 1.0, one evaluation. Unknown members are ignored, as it asks. */
export const EvaluationBody = z
  .looseObject({ subject: Entity, action: Action, resource: Entity, context: Context.optional() })
  .meta({ id: "Evaluation" });
export type EvaluationBody = z.infer<typeof EvaluationBody>;

/** Several: what stands outside of `evaluations` holds for each that does not say otherwise. */
export const EvaluationsBody = z
  .looseObject({
    subject: Entity.optional(),
    action: Action.optional(),
    resource: Entity.optional(),
    context: Context.optional(),
    evaluations: z
      .array(
        z.looseObject({ subject: Entity.optional(), action: Action.optional(), resource: Entity.optional(), context: Context.optional() }),
      )
      .max(100)
      .optional(),
    options: z
      .looseObject({ evaluations_semantic: z.enum(["execute_all", "deny_on_first_deny", "permit_on_first_permit"]).optional() })
      .optional(),
  })
  .meta({ id: "Evaluations" });
export type EvaluationsBody = z.infer<typeof EvaluationsBody>;

export const DecisionView = z
  .strictObject({
    decision: z.boolean(),
    context: z
      .strictObject({
        id: z.string().optional().meta({ description: "Of the denial, or of the decision." }),
        code: z.enum(ERROR_CODES).optional(),
        reason_user: z.strictObject({ en: text(1024) }).optional(),
        scope_needed: z.array(z.string()).optional(),
        asserted: z.literal(true).optional().meta({ description: "Nobody has checked a token: the subject is what the asker says it is." }),
        error: z.strictObject({ status: z.int(), message: z.string() }).optional(),
      })
      .optional(),
  })
  .meta({ id: "Decision" });
export type DecisionView = z.infer<typeof DecisionView>;

export const EvaluationsView = z.union([z.strictObject({ evaluations: z.array(DecisionView) }), DecisionView]).meta({ id: "Decisions" });

/** GET /.well-known/authzen-configuration */
export const AuthzenView = z
  .strictObject({ policy_decision_point: z.url(), access_evaluation_endpoint: z.url(), access_evaluations_endpoint: z.url() })
  .meta({ id: "AuthzenConfiguration" });
