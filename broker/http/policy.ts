import { StintError } from "../../domain/errors.ts";
import { toRfc3339 } from "../../domain/time.ts";
import { CheckBody, CheckView, ExplainBody, ExplainView, SimulateBody, SimulateView, WhoamiView } from "../../domain/wire.ts";
import type { CredentialsBody } from "../../domain/wire.ts";
import type { CheckAnswer, Explanation, Operator, Origin, SupposedRequest } from "../services.ts";
import { grantRequest } from "./input.ts";
import { denialView, traceView } from "./render.ts";
import { route } from "./route.ts";

export const policyRoutes = [
  route({
    method: "GET",
    path: "/v1/whoami",
    access: "holder",
    summary: "What the broker sees in the token you send; spends nothing.",
    answers: { 200: WhoamiView },
    async handle({ caller, origin }, { services }) {
      if (caller.kind === "operator") return { status: 200, body: operatorView(caller.operator) };
      const seen = await services.policy.whoami(caller.token, origin);
      if (seen.kind === "operator") return { status: 200, body: operatorView(seen.operator) };
      const { kind, trust, subject, workload, claims, grants } = seen;
      const view: WhoamiView = {
        kind,
        trust,
        subject,
        workload,
        task: seen.task ?? null,
        task_value: seen.taskValue ?? null,
        claims: { ...claims },
        evidence_expires_at: toRfc3339(seen.evidenceExpiresAt),
        grants: [...grants],
      };
      return { status: 200, body: view };
    },
  }),
  route({
    method: "POST",
    path: "/v1/policy/check",
    access: "holder",
    summary: "Would I get it? Of your own evidence or task token; operators say whose.",
    body: CheckBody,
    answers: { 200: CheckView },
    async handle({ caller, body, origin }, { services }) {
      const { trust, claims, ...asked } = body;
      if (caller.kind === "bearer") {
        if (trust !== undefined || claims !== undefined)
          throw new StintError("insufficient_role", "only operators may suppose another trust or other claims");
        return { status: 200, body: checkView(await services.policy.check(caller.token, grantRequest(asked), origin)) };
      }
      if (trust === undefined || claims === undefined)
        throw new StintError("invalid_request", "trust, claims: an operator has no claims of its own; say whose");
      const explained = await services.policy.explain({ supposed: supposed({ ...asked, trust, claims }, origin) });
      return { status: 200, body: supposedView(asked.grant, explained) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/policy/explain",
    access: "viewer",
    summary: "The whole reasoning behind a denial, or behind a supposed request.",
    body: ExplainBody,
    answers: { 200: ExplainView },
    async handle({ body, origin }, { services }) {
      const explained = await services.policy.explain(
        "denial_id" in body ? { denial: body.denial_id } : { supposed: supposed(body, origin) },
      );
      const today = explained.today;
      const view: ExplainView = {
        allowed: explained.allowed,
        code: explained.code ?? null,
        trace: traceView(explained.trace),
        denial: explained.denial === undefined ? null : denialView(explained.denial),
        today: today === undefined ? null : { allowed: today.allowed, code: today.code ?? null, trace: traceView(today.trace) },
      };
      return { status: 200, body: view };
    },
  }),
  route({
    method: "POST",
    path: "/v1/policy/simulate",
    access: "viewer",
    summary: "What would change if these files were the configuration.",
    body: SimulateBody,
    answers: { 200: SimulateView },
    async handle({ body, origin }, { services }) {
      const documents = body.files.map(({ name, text }) => ({ file: name, text }));
      const outcome = await services.policy.simulate({
        documents,
        denials: body.denials ?? [],
        supposed: (body.cases ?? []).map((one) => supposed(one, origin)),
      });
      const view: SimulateView = {
        policy: outcome.version,
        problems: outcome.problems.map((problem) => ({ ...problem })),
        cases: outcome.cases,
        differences: outcome.differences.map(({ denial, ...difference }) => ({ ...difference, denial: denial ?? null })),
        leases_of_vanished_grants: outcome.leasesOfVanishedGrants,
      };
      return { status: 200, body: view };
    },
  }),
];

const operatorView = ({ name, role }: Operator): WhoamiView => ({ kind: "operator", name, role });

const supposed = (body: CredentialsBody & Pick<SupposedRequest, "trust" | "claims">, origin: Origin): SupposedRequest => ({
  ...grantRequest(body),
  trust: body.trust,
  claims: body.claims,
  ip: origin.ip,
});

const checkView = (answer: CheckAnswer): CheckView => ({
  allowed: answer.allowed,
  grant: answer.grant,
  code: answer.code ?? null,
  message: answer.message ?? null,
  ...(answer.failedClaims === undefined ? {} : { failed_claims: [...answer.failedClaims] }),
  ...(answer.hint === undefined ? {} : { hint: answer.hint }),
  scope: answer.scope === undefined ? null : [...answer.scope],
  expires_in: answer.ttlMs === undefined ? null : Math.floor(answer.ttlMs / 1000),
  limited_by: answer.limitedBy ?? null,
});

const supposedView = (grant: string, explained: Explanation): CheckView => ({
  allowed: explained.allowed,
  grant,
  code: explained.code ?? null,
  message: null,
  scope: null,
  expires_in: null,
  limited_by: null,
  trace: traceView(explained.trace),
});
