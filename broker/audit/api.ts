import type { AuditRecord } from "../../domain/audit-event.ts";
import type { Page } from "../../store/api.ts";

export interface AuditQuery {
  readonly action?: string | undefined;
  readonly workload?: string | undefined;
  readonly subject?: string | undefined;
  readonly principal?: string | undefined;
  readonly grant?: string | undefined;
  readonly task?: string | undefined;
  readonly lease?: string | undefined;
  readonly decision?: string | undefined;
  readonly code?: string | undefined;
  readonly denial?: string | undefined;
  readonly traceId?: string | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

export interface AuditService {
  /** Exported records, newest first. */
  query(filter: AuditQuery, cursor: string | undefined, limit: number): Promise<Page<AuditRecord>>;
}
