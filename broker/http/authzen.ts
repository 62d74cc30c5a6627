import type { IncomingHttpHeaders } from "node:http";
import { Secret } from "../../domain/secret.ts";
import { AuthzenView, DecisionView, EvaluationBody, EvaluationsBody, EvaluationsView } from "../../domain/wire.ts";
import type { Verifier } from "../policy/policy.ts";
import type { ActionQuestion } from "../authorize/api.ts";
import type { Origin, Services } from "../services.ts";
import { aboutAnswer } from "./authorize.ts";
import { route, type Answer } from "./route.ts";

type Evaluation = Pick<EvaluationBody, "subject" | "action" | "resource"> & { readonly context?: EvaluationBody["context"] };

/** OpenID AuthZEN Authorization API 1.0: the same decision as at /v1/authorize, in the words of that standard. */
export const authzenRoutes = [
  route({
    method: "POST",
    path: "/access/v1/evaluation",
    access: "verifier",
    summary: "May this subject do this? (AuthZEN) action.name is the method, resource.id the path.",
    body: EvaluationBody,
    answers: { 200: DecisionView },
    async handle({ body, headers, verifier, origin }, { services }) {
      const { view, about } = await evaluate(services, verifier, body, origin);
      return { status: 200, body: view, headers: echoed(headers), about };
    },
  }),
  route({
    method: "POST",
    path: "/access/v1/evaluations",
    access: "verifier",
    summary: "Several evaluations at once, 100 at most (AuthZEN).",
    body: EvaluationsBody,
    answers: { 200: EvaluationsView },
    async handle({ body, headers, verifier, origin }, { services }) {
      const { evaluations = [] } = body;
      if (evaluations.length === 0) {
        const { view, about } = await evaluate(services, verifier, EvaluationBody.parse(body), origin);
        return { status: 200, body: view, headers: echoed(headers), about };
      }
      return { status: 200, body: { evaluations: await evaluateAll(services, verifier, body, origin) }, headers: echoed(headers) };
    },
  }),
  route({
    method: "GET",
    path: "/.well-known/authzen-configuration",
    access: "open",
    shared: true,
    summary: "Where AuthZEN evaluations are answered.",
    answers: { 200: AuthzenView },
    handle: (_call, { services: { url } }) => ({
      status: 200,
      headers: ["Cache-Control", "public, max-age=300"],
      body: {
        policy_decision_point: url,
        access_evaluation_endpoint: `${url}/access/v1/evaluation`,
        access_evaluations_endpoint: `${url}/access/v1/evaluations`,
      },
    }),
  }),
];

async function evaluateAll(services: Services, verifier: Verifier, body: EvaluationsBody, origin: Origin): Promise<DecisionView[]> {
  const semantic = body.options?.evaluations_semantic ?? "execute_all";
  const views: DecisionView[] = [];
  for (const each of body.evaluations ?? []) {
    const { subject = body.subject, action = body.action, resource = body.resource, context = body.context } = each;
    const { view } =
      subject === undefined || action === undefined || resource === undefined
        ? { view: INCOMPLETE }
        : await evaluate(services, verifier, { subject, action, resource, context }, origin);
    views.push(view);
    if (semantic === (view.decision ? "permit_on_first_permit" : "deny_on_first_deny")) break;
  }
  return views;
}

const INCOMPLETE: DecisionView = {
  decision: false,
  context: { error: { status: 400, message: "subject, action and resource are needed, here or outside of evaluations" } },
};

async function evaluate(
  services: Services,
  verifier: Verifier,
  { subject, action, resource, context = {} }: Evaluation,
  origin: Origin,
): Promise<{ readonly view: DecisionView; readonly about: NonNullable<Answer["about"]> }> {
  const known = subjectOf(subject);
  const question: ActionQuestion = {
    subject: known,
    method: textOf(action.properties?.["method"]) ?? action.name,
    target: resource.id,
    host: textOf(resource.properties?.["hostname"]) ?? "",
    ip: textOf(resource.properties?.["ip"]) ?? "",
    context,
  };
  const answer = await services.actions.decide(verifier, question, origin);
  const asserted = known.kind === "asserted" ? { asserted: true as const } : {};
  const about = aboutAnswer(answer, verifier.name);
  if (answer.allowed) return { view: { decision: true, context: { id: answer.decisionId, ...asserted } }, about };
  const { code, message, denialId, scope } = answer;
  const id = denialId === undefined ? {} : { id: denialId };
  const needed = scope === undefined ? {} : { scope_needed: [...scope] };
  return { view: { decision: false, context: { ...id, code, reason_user: { en: message }, ...needed, ...asserted } }, about };
}

const TOKEN_TYPES = new Set(["token", "access_token", "jwt"]);

/**
 * A token where there is one: as the id of a subject of type `token`, or as its property `token`, and then it must be the subject's.
 * Else what the asker says of the subject, its properties as the token's claims.
 */
function subjectOf({ type, id, properties = {} }: Evaluation["subject"]): ActionQuestion["subject"] {
  if (TOKEN_TYPES.has(type)) return { kind: "token", token: new Secret(id) };
  const { token, ...claims } = properties;
  if (token !== undefined) return { kind: "token", token: new Secret(textOf(token) ?? ""), subject: id };
  return { kind: "asserted", claims: { ...claims, sub: id } };
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** AuthZEN section 10.1.4: the request's id comes back, where it is one that can stand in a header. */
function echoed(headers: IncomingHttpHeaders): readonly string[] {
  const id = headers["x-request-id"];
  return typeof id === "string" && /^[\x21-\x7e]{1,128}$/.test(id) ? ["X-Request-ID", id] : [];
}
