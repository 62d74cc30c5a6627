import type { AuditTrail } from "../audit-trail.ts";
import { AuditExporter, type ExporterOptions } from "./exporter.ts";
import type { ExporterStatus } from "./export-health.ts";
import { queryAudit } from "./query.ts";

/** The audit trail of a broker, and what an operator may ask of its health. */
export interface OpenAuditTrail extends AuditTrail {
  status(): ExporterStatus;
}

/** The exporter and the search over one directory of files. Nothing is read or written until it is first used. */
export function openAuditTrail(options: ExporterOptions): OpenAuditTrail {
  const exporter = new AuditExporter(options);
  const { dir, stream } = options;
  return {
    exportWaiting: async () => void (await exporter.round()),
    healthy: () => exporter.status().healthy,
    status: () => exporter.status(),
    witness: () => exporter.witness(),
    accept: (_store, by, reason) => exporter.accept(by, reason),
    query: (filter, cursor, limit) => queryAudit({ dir, stream }, filter, cursor, limit),
    close: () => exporter.close(),
  };
}
