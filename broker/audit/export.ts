import type { AuditQuery } from "./api.ts";
import { isRecord, readLine } from "./chain.ts";
import { matches } from "./filter.ts";
import { toOcsf } from "./ocsf.ts";
import { listSegments, readLines } from "./segments.ts";

export const EXPORT_FORMATS = ["ndjson", "ocsf"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/**
 * The records of a directory, oldest first, a JSON text each, without their place in the chain: as they were written (`ndjson`), or
 * as OCSF 1.8 events. Does not verify; `verifyAudit` does.
 */
export async function* exportAudit(
  dir: string,
  format: ExportFormat,
  query: AuditQuery,
  product: { readonly version: string; readonly url: string },
): AsyncGenerator<string> {
  for (const segment of await listSegments(dir)) {
    for await (const { text, torn } of readLines(segment.path)) {
      const line = torn ? undefined : readLine(text);
      if (!isRecord(line) || !matches(line, query)) continue;
      const { prev: _prev, ...record } = line;
      yield JSON.stringify(format === "ocsf" ? toOcsf(record, product) : record);
    }
  }
}
