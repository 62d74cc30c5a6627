import { CloseBody, CredentialView, EmptyBody, LeasePage, LeaseQuery, LeaseView, ReleasedView, RenewBody } from "../../domain/wire.ts";
import { idIn, msOf } from "./input.ts";
import { leaseView, pageView, receiptLeaseView, usedLeaseView } from "./render.ts";
import { route } from "./route.ts";
import { DEFAULT_PAGE, credentialView } from "./tasks.ts";

export const leaseRoutes = [
  route({
    method: "GET",
    path: "/v1/leases",
    access: "viewer",
    summary: "List leases; whose is this credential: ?credential_sha256=.",
    query: LeaseQuery,
    answers: { 200: LeasePage },
    async handle({ query }, { services }) {
      const { cursor, limit, credential_sha256, external_name, used_after_end, ...filter } = query;
      const page = await services.leases.list(
        { ...filter, credentialSha256: credential_sha256, externalName: external_name, usedAfterEnd: used_after_end === "true" },
        cursor,
        limit ?? DEFAULT_PAGE,
      );
      const uses = await services.feed.usesOf(page.items.map(({ id }) => id));
      return { status: 200, body: pageView(page, (lease) => usedLeaseView(lease, uses.get(lease.id))) };
    },
  }),
  route({
    method: "GET",
    path: "/v1/leases/{id}",
    access: "holder",
    summary: "Show a lease: to its task, to its own credential, to operators.",
    answers: { 200: LeaseView },
    async handle({ params, caller, origin }, { services }) {
      const lease = await services.leases.get(idIn(params, "lease"), caller, origin);
      if (caller.kind !== "operator") return { status: 200, body: leaseView(lease) };
      return { status: 200, body: usedLeaseView(lease, (await services.feed.usesOf([lease.id])).get(lease.id)) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/leases/{id}/release",
    access: "bearer",
    summary: "Give a credential back before its time.",
    body: EmptyBody,
    answers: { 200: ReleasedView },
    async handle({ params, token, origin }, { services }) {
      const { lease, receipt } = await services.leases.release(idIn(params, "lease"), token, origin);
      return { status: 200, body: { lease: leaseView(lease), receipt: receiptLeaseView(receipt) } };
    },
  }),
  route({
    method: "POST",
    path: "/v1/leases/{id}/renew",
    access: "bearer",
    summary: "Extend a lease under its task; policy is asked again.",
    body: RenewBody,
    answers: { 200: CredentialView },
    async handle({ params, token, body, idempotency, origin }, { services }) {
      const issued = await services.leases.renew({
        leaseId: idIn(params, "lease"),
        taskToken: token,
        ttlMs: msOf(body.ttl, "ttl"),
        idempotency,
        origin,
      });
      return { status: 200, body: credentialView(issued) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/leases/{id}/close",
    access: "admin",
    summary: "Declare a lease over whose target cannot be reached; it stays listed as forced.",
    body: CloseBody,
    answers: { 200: LeaseView },
    async handle({ params, operator, body, origin }, { services }) {
      return { status: 200, body: leaseView(await services.leases.forceClose(idIn(params, "lease"), operator, body.reason, origin)) };
    },
  }),
];
