import { pooledRandom } from "../../domain/ids.ts";

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;

/** A new trace id: 16 random bytes in hex (W3C Trace Context). */
export function newTraceId(): string {
  const bytes = Buffer.allocUnsafe(16);
  pooledRandom(bytes);
  return bytes.toString("hex");
}

/**
 * The trace a caller says it belongs to; undefined unless the header is exactly of version 00 with ids that are not zero.
 * A caller we do not know is never believed: its trace is only linked to in the log.
 */
export function parseTraceparent(header: string | string[] | undefined): string | undefined {
  if (typeof header !== "string") return undefined;
  const [, traceId, spanId] = TRACEPARENT.exec(header) ?? [];
  if (traceId === undefined || spanId === undefined || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return traceId;
}
