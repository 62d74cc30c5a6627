import { toRfc3339 } from "../../domain/time.ts";
import { FindingsView, PageQuery, ReconcileBody, RotateTargetBody, TargetPage, TargetView } from "../../domain/wire.ts";
import type { Findings } from "../targets/reconcile.ts";
import type { TargetStanding } from "../targets/api.ts";
import { pageOfWhole } from "./render.ts";
import { route } from "./route.ts";
import { DEFAULT_PAGE } from "./tasks.ts";

const UNSAID = "no reason given";

export const targetRoutes = [
  route({
    method: "GET",
    path: "/v1/targets",
    access: "viewer",
    summary: "List targets: how each stands, what waits there, what was found.",
    query: PageQuery,
    answers: { 200: TargetPage },
    async handle({ query: { cursor, limit } }, { services }) {
      return { status: 200, body: pageOfWhole(services.targets.list(), ({ name }) => name, targetView, cursor, limit ?? DEFAULT_PAGE) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/targets/{target}/reconcile",
    access: "admin",
    summary: "Compare a target with the store, end what nobody wants, and lift a hold once every target is done.",
    body: ReconcileBody,
    answers: { 200: FindingsView },
    async handle({ params, operator, body, origin }, { services }) {
      const mode = body.dry_run === true ? "shown" : "done";
      return {
        status: 200,
        body: findingsView(await services.targets.reconcile(nameIn(params), mode, operator, body.reason ?? UNSAID, origin)),
      };
    },
  }),
  route({
    method: "POST",
    path: "/v1/targets/{target}/rotate",
    access: "admin",
    summary: "Change the broker's own password or key at a target.",
    body: RotateTargetBody,
    answers: { 200: TargetView },
    async handle({ params, operator, body, origin }, { services }) {
      return { status: 200, body: targetView(await services.targets.rotate(nameIn(params), operator, body.reason ?? UNSAID, origin)) };
    },
  }),
  route({
    method: "GET",
    path: "/targets/{target}/{document}",
    access: "open",
    shared: true,
    summary: "What a target's systems read to tell our certificates and those revoked: ca.pub, krl, ca.pem, crl.",
    answers: { 200: null },
    async handle({ params }, { services }) {
      const { body, contentType, maxAge } = await services.targets.document(nameIn(params), params["document"] ?? "");
      return { status: 200, body: Buffer.from(body), type: contentType, headers: ["Cache-Control", `public, max-age=${maxAge}`] };
    },
  }),
];

const nameIn = (params: Readonly<Record<string, string>>): string => params["target"] ?? "";

function targetView({ kind, facts, findings, trouble, owner, ...standing }: TargetStanding): TargetView {
  const { passwordChangedAt, quota } = facts ?? {};
  return {
    ...standing,
    issuer: kind,
    owner: owner ?? null,
    server: facts?.server ?? null,
    password_changed_at: passwordChangedAt === undefined ? null : toRfc3339(passwordChangedAt),
    quota: quota === undefined ? null : { left: quota.left, of: quota.of, resets_at: toRfc3339(quota.resetsAt) },
    warnings: [...(facts?.warnings ?? [])],
    findings: findings === undefined ? null : findingsView(findings),
    trouble: trouble === undefined ? null : { at: toRfc3339(trouble.at), what: trouble.what, error: trouble.error },
  };
}

const findingsView = ({ at, mode, seen, orphaned, orphans, missed, missing, failed }: Findings): FindingsView => ({
  at: toRfc3339(at),
  mode,
  seen,
  orphaned,
  orphans: [...orphans],
  missed,
  missing: [...missing],
  failed,
});
