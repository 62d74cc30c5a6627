import { StintError } from "../../domain/errors.ts";
import { Secret } from "../../domain/secret.ts";
import {
  LockBody,
  LockPage,
  type LockSelector,
  LockView,
  PageQuery,
  RevocationBody,
  RevocationPage,
  RevocationPlanView,
  type RevocationSelector,
  RevocationView,
} from "../../domain/wire.ts";
import type { LockScope } from "../../store/api.ts";
import type { Selector } from "../services.ts";
import { idIn, msOf } from "./input.ts";
import { lockView, pageOfWhole, pageView, planView, revocationView } from "./render.ts";
import { route } from "./route.ts";
import { DEFAULT_PAGE } from "./tasks.ts";

export const revocationRoutes = [
  route({
    method: "POST",
    path: "/v1/revocations",
    access: "responder",
    summary: "Revoke what a selector covers; 202 once it is in force. With dry_run: what would end.",
    body: RevocationBody,
    answers: { 202: RevocationView, 200: RevocationPlanView },
    async handle({ operator, body, idempotency, origin }, { services }) {
      const selector = selectorOf(body.selector);
      if (body.dry_run === true) return { status: 200, body: planView(await services.revocations.dryRun(selector)) };
      const lockMs = msOf(body.lock, "lock");
      const job = await services.revocations.start({ selector, reason: body.reason, lockMs, operator, idempotency, origin });
      return { status: 202, body: revocationView(job), headers: ["Location", `/v1/revocations/${job.id}`] };
    },
  }),
  route({
    method: "GET",
    path: "/v1/revocations",
    access: "viewer",
    summary: "List revocations.",
    query: PageQuery,
    answers: { 200: RevocationPage },
    async handle({ query: { cursor, limit } }, { services }) {
      return { status: 200, body: pageView(await services.revocations.list(cursor, limit ?? DEFAULT_PAGE), revocationView) };
    },
  }),
  route({
    method: "GET",
    path: "/v1/revocations/{id}",
    access: "viewer",
    summary: "Follow a revocation; its receipt as it stands.",
    answers: { 200: RevocationView },
    async handle({ params }, { services }) {
      return { status: 200, body: revocationView(await services.revocations.get(idIn(params, "rev"))) };
    },
  }),
];

export const lockRoutes = [
  route({
    method: "GET",
    path: "/v1/locks",
    access: "viewer",
    summary: "List locks.",
    query: PageQuery,
    answers: { 200: LockPage },
    async handle({ query: { cursor, limit } }, { services }) {
      return { status: 200, body: pageOfWhole(await services.locks.list(), ({ id }) => id, lockView, cursor, limit ?? DEFAULT_PAGE) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/locks",
    access: "responder",
    summary: "Refuse new credentials for a while; what lives goes on living.",
    body: LockBody,
    answers: { 201: LockView },
    async handle({ operator, body, idempotency, origin }, { services }) {
      const ttlMs = msOf(body.ttl, "ttl") ?? 0;
      const lock = await services.locks.add({
        scope: scopeOf(body.selector),
        ttlMs,
        reason: body.reason,
        message: body.message,
        operator,
        idempotency,
        origin,
      });
      return { status: 201, body: lockView(lock), headers: ["Location", `/v1/locks/${lock.id}`] };
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/locks/{id}",
    access: "responder",
    summary: "Take a lock away.",
    answers: { 200: LockView },
    async handle({ params, operator, origin }, { services }) {
      return { status: 200, body: lockView(await services.locks.remove(idIn(params, "lock"), operator, origin)) };
    },
  }),
];

function selectorOf(wire: RevocationSelector): Selector {
  if (wire.credential !== undefined) return { kind: "credential", name: new Secret(wire.credential) };
  if (wire.lease !== undefined) return { kind: "lease", name: wire.lease };
  if (wire.task !== undefined) return { kind: "task", name: wire.task };
  return scopeOf(wire);
}

/** The schema let exactly one member through. */
function scopeOf(wire: LockSelector): LockScope {
  for (const kind of ["workload", "trust", "grant", "issuer"] as const) {
    const name = wire[kind];
    if (name !== undefined) return { kind, name };
  }
  if (wire.all === true) return { kind: "all" };
  throw new StintError("invalid_request", "selector: expected exactly one member");
}
