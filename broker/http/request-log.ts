import { performance } from "node:perf_hooks";
import { isShed } from "./pacer.ts";
import type { Served } from "./served.ts";

/** The part of a logger that is needed here; pino has it. */
export interface RequestLogger {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What metrics are told of each request; `route` is the template, so labels stay few. */
export type Observe = (request: {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
  readonly code: string | undefined;
}) => void;

/** Probes ask every few seconds and have nothing to tell while all is well. */
const QUIET: ReadonlySet<string> = new Set(["/livez", "/healthz", "/readyz", "/metrics"]);

/** Refusals for want of room are the cheaper the more there are: one line a second tells of all of them. */
const SHED_EVERY_MS = 1_000;

/** One log line for every request, and one observation. Paths, queries and headers are never logged: they may hold secrets. */
export function requestLog(logger: RequestLogger, observe: Observe): (what: Served) => void {
  let [shed, shedSince] = [0, 0];
  return (what) => {
    observe({ method: what.method, route: what.route, status: what.status, seconds: what.ms / 1000, code: what.code });
    if (what.status < 400 && QUIET.has(what.route)) return;
    const crowded = what.code !== undefined && isShed({ code: what.code });
    if (crowded) {
      shed += 1;
      if (performance.now() - shedSince < SHED_EVERY_MS) return;
      shedSince = performance.now();
    }
    const fields = {
      method: what.method,
      route: what.route,
      status: what.status,
      ms: Math.round(what.ms * 10) / 10,
      ip: what.ip,
      trace_id: what.traceId,
      linked_trace_id: what.linkedTrace,
      caller: what.caller,
      code: what.code,
      denial_id: what.denialId,
      decision_id: what.decisionId,
      ...(crowded ? { shed } : {}),
    };
    if (crowded) shed = 0;
    if (what.cause === undefined) logger.info(fields, "request served");
    else logger.error({ ...fields, err: what.cause }, "request failed");
  };
}
