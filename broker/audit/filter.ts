import type { AuditRecord } from "../../domain/audit-event.ts";
import type { AuditQuery } from "./api.ts";

/** Whether a record is wanted. Every member of the query must hold; a workload may be named by its subject or by what people see. */
export function matches(record: AuditRecord, query: AuditQuery): boolean {
  const at = Date.parse(record.at);
  if (query.since !== undefined && at < query.since) return false;
  if (query.until !== undefined && at >= query.until) return false;
  if (query.workload !== undefined && record.workload !== query.workload && record.subject !== query.workload) return false;
  if (query.lease !== undefined && record.lease !== query.lease && record.leases?.some((id) => id === query.lease) !== true) return false;
  return EQUAL.every(([asked, member]) => query[asked] === undefined || record[member] === query[asked]);
}

const EQUAL = [
  ["action", "action"],
  ["subject", "subject"],
  ["principal", "principal"],
  ["grant", "grant"],
  ["task", "task"],
  ["decision", "decision"],
  ["code", "code"],
  ["denial", "denial"],
  ["traceId", "trace_id"],
] as const satisfies readonly (readonly [keyof AuditQuery, keyof AuditRecord])[];
