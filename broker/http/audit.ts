import { StintError } from "../../domain/errors.ts";
import { parseDuration } from "../../domain/time.ts";
import { AuditPage, AuditQuery, DenialRecordView } from "../../domain/wire.ts";
import { idIn } from "./input.ts";
import { denialView, pageView } from "./render.ts";
import { route } from "./route.ts";
import { DEFAULT_PAGE } from "./tasks.ts";

export const auditRoutes = [
  route({
    method: "GET",
    path: "/v1/audit",
    access: "viewer",
    summary: "Search the audit trail, newest first.",
    query: AuditQuery,
    answers: { 200: AuditPage },
    async handle({ query }, { services, clock }) {
      const { cursor, limit, since, until, trace_id, ...filter } = query;
      const times = {
        since: since === undefined ? undefined : instant(since, clock()),
        until: until === undefined ? undefined : Date.parse(until),
      };
      const page = await services.audit.query({ ...filter, ...times, traceId: trace_id }, cursor, limit ?? DEFAULT_PAGE);
      return { status: 200, body: pageView(page, (record) => record) };
    },
  }),
  route({
    method: "GET",
    path: "/v1/denials/{id}",
    access: "viewer",
    summary: "Show a refusal: what the caller was told, and why.",
    answers: { 200: DenialRecordView },
    async handle({ params }, { services }) {
      return { status: 200, body: denialView(await services.denials.get(idIn(params, "den"))) };
    },
  }),
];

/** An instant, or a span back from now. */
function instant(since: string | number, now: number): number {
  const span = parseDuration(since);
  if (span !== undefined) return now - span;
  const at = Date.parse(String(since));
  if (Number.isNaN(at)) throw new StintError("invalid_request", "since: expected a time or a span");
  return at;
}
