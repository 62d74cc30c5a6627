import type { TaskId } from "../domain/ids.ts";
import type { EndedBy } from "../domain/lease.ts";
import type { Task, TaskOutcome } from "../domain/task.ts";
import { alien, parse, trustOf } from "./records.ts";

/** Names of a task's members as `pack_task` in lua/lib.lua shortens them. */
interface TaskRow {
  readonly s?: unknown;
  readonly u?: unknown;
  readonly w?: unknown;
  readonly t?: unknown;
  readonly o?: unknown;
  readonly e?: unknown;
  readonly v?: unknown;
  readonly p?: unknown;
  readonly a?: unknown;
  readonly m?: unknown;
  readonly b?: unknown;
  readonly x?: unknown;
  readonly y?: unknown;
  readonly c?: unknown;
}

const wordIn = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const numberIn = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);

/** Reads a task. */
export function readTask(bareId: string, text: string): Task {
  const row = parse(text) as TaskRow | null;
  if (row === null || typeof row !== "object" || (row.s !== "open" && row.s !== "ended")) throw alien();
  const subject = wordIn(row.u) ?? "";
  return {
    id: `task_${bareId}`,
    state: row.s,
    subject,
    workload: wordIn(row.w) ?? "",
    trust: wordIn(row.t) ?? trustOf(subject),
    value: wordIn(row.v),
    parent: wordIn(row.a) as TaskId | undefined,
    purpose: wordIn(row.p),
    openedAt: numberIn(row.o) ?? 0,
    expiresAt: numberIn(row.e) ?? 0,
    heartbeatMs: numberIn(row.m),
    heartbeatBy: numberIn(row.b),
    endedAt: numberIn(row.x),
    endedBy: wordIn(row.y) as EndedBy | undefined,
    outcome: wordIn(row.c) as TaskOutcome | undefined,
  };
}
