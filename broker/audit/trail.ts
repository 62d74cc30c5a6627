import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { Clock } from "../../domain/time.ts";
import type { Store } from "../../store/api.ts";
import type { AuditTrail } from "../audit-trail.ts";
import type { CheckpointKeys } from "./checkpoint-files.ts";
import type { ExporterStatus } from "./export-health.ts";
import { AuditExporter } from "./exporter.ts";
import { queryAudit } from "./query.ts";

/** What a trail is opened with; a broker's own parts fit. */
export interface TrailParts {
  readonly store: Pick<Store, "id" | "audit">;
  readonly keys: CheckpointKeys;
  /** `STINT_URL`. */
  readonly url: string;
  readonly now: Clock;
}

/** The audit trail of a broker, and what an operator may ask of its health. */
export interface OpenAuditTrail extends AuditTrail {
  status(): ExporterStatus;
}

/** The exporter and the search over one directory of files (`STINT_AUDIT_DIR`). Nothing is read or written until it is first used. */
export function openAuditTrail(dir: string, { store, keys, url, now }: TrailParts): OpenAuditTrail {
  const exporter = new AuditExporter({ dir, keys, url, stream: store.audit, storeId: store.id, holder: randomUUID(), clock: now });
  return {
    async exportWaiting(signal) {
      // a round under way is not torn from the disk's hands: it goes on, and its caller no longer waits
      const over = new AbortController();
      const round = exporter.round().finally(() => over.abort());
      await Promise.race([round, once(signal, "abort", { signal: over.signal }).catch(() => undefined)]);
    },
    healthy: () => exporter.status().healthy,
    status: () => exporter.status(),
    witness: () => exporter.witness(),
    accept: (_store, by, reason) => exporter.accept(by, reason),
    query: (filter, cursor, limit) => queryAudit({ dir, stream: store.audit }, filter, cursor, limit),
    close: () => exporter.close(),
  };
}
