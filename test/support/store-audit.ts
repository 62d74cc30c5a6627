import type { AuditTrail } from "../../broker/audit-trail.ts";
import type { Witness } from "../../broker/hold.ts";
import type { AuditRecord } from "../../domain/audit-event.ts";
import { BUCKETS } from "../../domain/ids.ts";
import type { Store } from "../../store/api.ts";

/** For specs that are not about the audit files: reads records where scripts wrote them, and never exports. */
export function storeAudit(
  store: Store,
  state: { healthy: boolean; witness?: Witness | undefined } = { healthy: true },
): AuditTrail & { records(): Promise<readonly AuditRecord[]> } {
  const records = async (): Promise<readonly AuditRecord[]> => {
    const buckets = await Promise.all([...Array(BUCKETS).keys()].map((bucket) => store.audit.read(bucket, 0, 10_000)));
    return buckets.flat();
  };
  return {
    records,
    healthy: () => state.healthy,
    exportWaiting: async () => undefined,
    close: async () => undefined,
    witness: async () => state.witness,
    accept: async (witness) => void (state.witness = witness),
    query: async (filter, _cursor, limit) => {
      const wanted = (await records()).filter(
        (record) =>
          (filter.action === undefined || record.action === filter.action) && (filter.lease === undefined || record.lease === filter.lease),
      );
      return { items: wanted.slice(0, limit), nextCursor: undefined };
    },
  };
}
