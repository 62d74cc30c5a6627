/** What one request was, for the log line and the metrics. `route` is the template, never the path. */
export interface Served {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly ms: number;
  readonly ip: string;
  readonly traceId: string;
  /** The trace that an unknown caller says it belongs to. */
  readonly linkedTrace: string | undefined;
  readonly code: string | undefined;
  readonly denialId: string | undefined;
  /** Of an action that was let through. */
  readonly decisionId: string | undefined;
  readonly caller: string | undefined;
  /** Only of errors that are our own fault. */
  readonly cause: unknown;
}
