import type { AuditQuery, AuditRecordView } from "../../domain/wire.ts";
import type { Context } from "./context.ts";
import { span } from "./context.ts";
import { defined } from "./options.ts";
import type { Column } from "./output.ts";
import { UsageError } from "./exit-codes.ts";
import { clean, type Screen } from "./screen.ts";
import { clockTime } from "./times.ts";

export interface AuditFilter {
  readonly since?: string;
  readonly until?: string;
  readonly decision?: NonNullable<AuditQuery["decision"]>;
  readonly action?: NonNullable<AuditQuery["action"]>;
  readonly code?: NonNullable<AuditQuery["code"]>;
  readonly workload?: string;
  readonly subject?: string;
  readonly principal?: string;
  readonly grant?: string;
  readonly task?: NonNullable<AuditQuery["task"]>;
  readonly lease?: NonNullable<AuditQuery["lease"]>;
  readonly traceId?: string;
}

/** The query that a command's filter stands for; times are made plain here, so that a wrong one is told at once. */
export function auditQuery(filter: AuditFilter, { clock }: Context): AuditQuery {
  const { decision, action, code, workload, subject, principal, grant, task, lease, traceId } = filter;
  return defined({
    since: filter.since === undefined ? undefined : instant(filter.since, "--since", clock()),
    until: filter.until === undefined ? undefined : instant(filter.until, "--until", clock()),
    decision,
    action,
    code,
    workload,
    subject,
    principal,
    grant,
    task,
    lease,
    trace_id: traceId,
  });
}

function instant(text: string, name: string, now: number): string {
  const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : now - span(text, name);
  if (Number.isNaN(at)) throw new UsageError(`${name}: "${text}" is not a time`, "Expected RFC 3339, or a span back from now such as 24h.");
  return new Date(at).toISOString();
}

const text = (value: unknown): string =>
  value === undefined || value === null ? "" : clean(typeof value === "string" ? value : JSON.stringify(value));

/** What a list of audit records shows. */
export function auditColumns(screen: Screen, now: number): readonly Column<AuditRecordView>[] {
  return [
    { title: "time", value: (one) => one.at, show: (one) => clockTime(one.at, now) },
    { title: "action", value: (one) => one.action, show: (one) => sign(one, screen) },
    { title: "principal", value: (one) => text(one["workload"] ?? one.principal) },
    { title: "grant", value: (one) => text(one["grant"]) },
    { title: "about", value: aboutOf },
    { title: "why", value: whyOf },
  ];
}

const aboutOf = (one: AuditRecordView): string =>
  text(one["lease"] ?? one["denial"] ?? one["revocation"] ?? one["task"] ?? countOf(one["leases"]));
const countOf = (leases: unknown): string | undefined => (Array.isArray(leases) ? `${leases.length} leases` : undefined);
const whyOf = (one: AuditRecordView): string => text(one["code"] ?? one["ended_by"] ?? one["rule"] ?? one["reason"]);

/** One record on one line, for a terminal that follows. */
export function auditLine(one: AuditRecordView, screen: Screen, now: number): string {
  const parts = [text(one["workload"] ?? one.principal), text(one["grant"]), aboutOf(one), screen.color.dim(whyOf(one))].filter(
    (part) => part !== "",
  );
  return `${screen.color.dim(clockTime(one.at, now))}  ${sign(one, screen, 20)} ${parts.join("  ")}`;
}

function sign(one: AuditRecordView, screen: Screen, wide = 0): string {
  const action = one.action.padEnd(wide);
  if (one["decision"] === "deny") return screen.color.red(`✗ ${action}`);
  if (one["decision"] === "error") return screen.color.yellow(`! ${action}`);
  return one["decision"] === "allow" ? `${screen.color.green("✓")} ${action}` : `· ${action}`;
}

/** Names a record: gapless within its bucket. */
export const recordKey = (one: AuditRecordView): string => `${one.bucket}.${one.seq}`;
