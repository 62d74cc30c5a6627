import { toRfc3339 } from "../../domain/time.ts";
import {
  CompleteBody,
  CredentialView,
  CredentialsBody,
  EmptyBody,
  OpenTaskBody,
  OpenedTaskView,
  ReceiptView,
  TaskPage,
  TaskQuery,
  TaskView,
} from "../../domain/wire.ts";
import type { IssuedCredential, RenewedCredential } from "../services.ts";
import { grantRequest, idIn, msOf } from "./input.ts";
import { pageView, receiptView, taskView } from "./render.ts";
import { route } from "./route.ts";

export const DEFAULT_PAGE = 100;

/** `type` last: nothing that an issuer says may stand in its place. */
function revealed(credential: RenewedCredential["credential"]): CredentialView["credential"] {
  if (credential.token === undefined) return { type: credential.type };
  const { type, token, member = "token", secrets = {}, facts = {} } = credential;
  const opened = Object.fromEntries(Object.entries(secrets).map(([name, secret]) => [name, secret.reveal()]));
  return { ...facts, ...opened, [member]: token.reveal(), type };
}

/** The only place beside the token endpoint that reveals a credential: to whoever asked for it under its task, or renewed it. */
export function credentialView(issued: IssuedCredential | RenewedCredential): CredentialView {
  const proofs = issued.boundTo?.method === "jkt" ? { token_type: "DPoP" as const } : {};
  return {
    lease_id: issued.lease.id,
    task_id: issued.task.id,
    grant: issued.grant,
    issuer: issued.issuer,
    credential: { ...revealed(issued.credential), ...proofs },
    expires_at: toRfc3339(issued.expiresAt),
    limited_by: issued.limitedBy,
    revocation: issued.revocation,
    dead_by: toRfc3339(issued.deadBy),
  };
}

export const taskRoutes = [
  route({
    method: "POST",
    path: "/v1/tasks",
    access: "bearer",
    summary: "Open a task with evidence, or join the one it belongs to.",
    body: OpenTaskBody,
    answers: { 201: OpenedTaskView, 200: OpenedTaskView },
    async handle({ token, body, idempotency, origin }, { services }) {
      const { purpose, parent } = body;
      const { task, taskToken, joined } = await services.tasks.open({
        evidence: token,
        purpose,
        parent,
        bind: body.bind,
        ttlMs: msOf(body.ttl, "ttl"),
        heartbeatMs: msOf(body.heartbeat, "heartbeat"),
        idempotency,
        origin,
      });
      const beat = task.heartbeatBy === undefined ? {} : { heartbeat_by: toRfc3339(task.heartbeatBy) };
      const view: OpenedTaskView = { task: task.id, task_token: taskToken.reveal(), expires_at: toRfc3339(task.expiresAt), ...beat };
      return { status: joined ? 200 : 201, body: view };
    },
  }),
  route({
    method: "GET",
    path: "/v1/tasks",
    access: "viewer",
    summary: "List tasks.",
    query: TaskQuery,
    answers: { 200: TaskPage },
    async handle({ query: { cursor, limit, ...filter } }, { services }) {
      return { status: 200, body: pageView(await services.tasks.list(filter, cursor, limit ?? DEFAULT_PAGE), (task) => taskView(task)) };
    },
  }),
  route({
    method: "GET",
    path: "/v1/tasks/{id}",
    access: "holder",
    summary: "Show a task; once it has ended, with its receipt.",
    answers: { 200: TaskView },
    async handle({ params, caller, origin }, { services }) {
      const { task, receipt } = await services.tasks.get(idIn(params, "task"), caller, origin);
      return { status: 200, body: taskView(task, receipt) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/tasks/{id}/credentials",
    access: "bearer",
    summary: "Ask for a credential under a task.",
    body: CredentialsBody,
    answers: { 201: CredentialView },
    async handle({ params, token, body, idempotency, origin }, { services }) {
      const issued = await services.tasks.credential({
        taskId: idIn(params, "task"),
        taskToken: token,
        ...grantRequest(body),
        idempotency,
        origin,
      });
      return { status: 201, body: credentialView(issued) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/tasks/{id}/heartbeat",
    access: "bearer",
    summary: "Say that the task is still at work.",
    body: EmptyBody,
    answers: { 200: TaskView },
    async handle({ params, token, origin }, { services }) {
      return { status: 200, body: taskView(await services.tasks.heartbeat(idIn(params, "task"), token, origin)) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/tasks/{id}/complete",
    access: "bearer",
    summary: "End a task and every lease under it; twice shows the same receipt as it now stands.",
    body: CompleteBody,
    answers: { 200: ReceiptView },
    async handle({ params, token, body, origin }, { services }) {
      const receipt = await services.tasks.complete({
        taskId: idIn(params, "task"),
        taskToken: token,
        outcome: body.outcome,
        by: body.by ?? "complete",
        origin,
      });
      return { status: 200, body: receiptView(receipt) };
    },
  }),
];
