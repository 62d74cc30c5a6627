import type { TaskId } from "./ids.ts";
import type { EndedBy } from "./lease.ts";

/** The declared unit of work that credentials serve. Times are milliseconds. */
export interface Task {
  readonly id: TaskId;
  readonly state: "open" | "ended";
  readonly subject: string;
  readonly workload: string;
  readonly trust: string;
  /** The trust's `task` template as rendered, for implicit tasks. */
  readonly value: string | undefined;
  readonly parent: TaskId | undefined;
  readonly purpose: string | undefined;
  readonly openedAt: number;
  readonly expiresAt: number;
  /** Milliseconds between heartbeats, when one was asked for. */
  readonly heartbeatMs: number | undefined;
  readonly heartbeatBy: number | undefined;
  readonly endedAt: number | undefined;
  readonly endedBy: EndedBy | undefined;
  readonly outcome: TaskOutcome | undefined;
}

export const TASK_OUTCOMES = ["success", "failure", "cancelled"] as const;
export type TaskOutcome = (typeof TASK_OUTCOMES)[number];
