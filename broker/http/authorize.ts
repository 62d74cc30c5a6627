import { Secret } from "../../domain/secret.ts";
import { AuthorizeBody, AuthorizeView, RoutesView } from "../../domain/wire.ts";
import type { Claims } from "../../domain/principal.ts";
import type { ActionAnswer } from "../authorize/api.ts";
import { type Answer, route } from "./route.ts";

export const authorizeRoutes = [
  route({
    method: "POST",
    path: "/v1/authorize",
    access: "verifier",
    summary: "May this token do this? Decided by the verifier's routes; a denial is 200 with decision false.",
    body: AuthorizeBody,
    answers: { 200: AuthorizeView },
    async handle({ body, verifier, origin }, { services }) {
      const { token, method, path, host = "", ip = "", context = {}, cnf } = body;
      const question = {
        subject: { kind: "token", token: new Secret(token), proven: cnf },
        method,
        target: path,
        host,
        ip,
        context,
      } as const;
      const answer = await services.actions.decide(verifier, question, origin);
      return { status: 200, body: authorizeView(answer), about: aboutAnswer(answer, verifier.name) };
    },
  }),
  route({
    method: "GET",
    path: "/v1/verifiers/self/routes",
    access: "verifier",
    summary: "The calling verifier's routes, for deciding beside the resource server.",
    answers: { 200: RoutesView },
    handle({ verifier }, { services }) {
      const { name, audience, actions, routes = [] } = verifier;
      const view: RoutesView = {
        verifier: name,
        issuer: services.url,
        audience,
        policy: actions?.policy ?? "",
        routes: routes.map(({ method, path, require, when }) => ({
          ...(method === undefined ? {} : { method: typeof method === "string" ? method : [...method] }),
          path,
          ...(require?.scope === undefined ? {} : { require: { scope: [...require.scope] } }),
          ...(when === undefined ? {} : { when }),
        })),
      };
      return { status: 200, body: view, headers: ["Cache-Control", "private, no-cache"] };
    },
  }),
];

/** What the log says of a decision. */
export const aboutAnswer = (answer: ActionAnswer, verifier: string): NonNullable<Answer["about"]> => ({
  caller: `verifier:${verifier}`,
  ...(answer.allowed ? { decisionId: answer.decisionId } : { code: answer.code, denialId: answer.denialId }),
});

function authorizeView(answer: ActionAnswer): AuthorizeView {
  const facts = answer.token === undefined ? {} : factsOf(answer.token);
  if (answer.allowed) return { decision: true, decision_id: answer.decisionId, rule: answer.rule, ...facts };
  const { code, message, hint, denialId, rule, scope } = answer;
  return {
    decision: false,
    code,
    reason: message,
    ...(denialId === undefined ? {} : { denial_id: denialId as NonNullable<AuthorizeView["denial_id"]> }),
    ...(hint === undefined ? {} : { hint }),
    ...(rule === undefined ? {} : { rule }),
    ...(scope === undefined ? {} : { scope_needed: [...scope] }),
    ...facts,
  };
}

const FACTS = { sub: "subject", workload: "workload", task_id: "task_id", lease_id: "lease_id", grant: "grant", scope: "scope" } as const;

function factsOf(token: Claims): Partial<AuthorizeView> {
  const texts = Object.entries(FACTS).flatMap(([claim, name]) => (typeof token[claim] === "string" ? [[name, token[claim]]] : []));
  return { ...Object.fromEntries(texts), ...(typeof token["exp"] === "number" ? { exp: token["exp"] } : {}) } as Partial<AuthorizeView>;
}
