import type { AuditFacts } from "../../domain/audit-event.ts";
import type { LeaseId, TaskId } from "../../domain/ids.ts";
import type { EndedBy } from "../../domain/lease.ts";
import type { Task, TaskOutcome } from "../../domain/task.ts";
import type { LeaseEnding } from "../../store/api.ts";
import type { Origin } from "../callers.ts";
import { endAllNow } from "../leases/end.ts";
import type { Parts } from "../parts.ts";
import { pause } from "../sweeper/schedule.ts";
import type { Receipt } from "./api.ts";
import { receiptOf } from "./receipt.ts";

/** How long an answer waits for what can be revoked now. */
export const WAIT_MS = 2_000;

type EndParts = Pick<
  Parts,
  "store" | "issuers" | "enderOf" | "sealer" | "now" | "random" | "log" | "events" | "policy" | "meter" | "background" | "onHold" | "facts"
>;

export interface TaskEnding {
  readonly task: Task;
  /** Every task that ended with it. */
  readonly family: readonly TaskId[];
  /** Leases that still need a call at their target. */
  readonly revoking: readonly LeaseId[];
}

/** Ends a task, its leases and its children in the store. Nothing is called yet. Undefined when there is no such task. */
export async function endTask(
  parts: EndParts,
  id: TaskId,
  by: EndedBy,
  outcome: TaskOutcome | undefined,
  who: { readonly principal: string; readonly origin?: Origin },
): Promise<TaskEnding | undefined> {
  const audit: AuditFacts = {
    action: "task.ended",
    principal: who.principal,
    ...(who.origin === undefined ? {} : { trace_id: who.origin.traceId }),
  };
  const ended = await parts.store.tasks.end(id, by, outcome, audit, parts.policy().settings.retentionMs);
  if (ended === undefined) return undefined;
  if (ended.task.state === "ended")
    parts.events.publish("task.ended", { task: id, ended_by: ended.task.endedBy, workload: ended.task.workload });
  return { task: ended.task, family: [...ended.family], revoking: [...ended.revoking] };
}

/** Calls at the targets of what is revoking go on behind the answer; this waits for them, at most two seconds. */
export async function revokeWithin(parts: EndParts, revoking: readonly LeaseId[], waitMs: number = WAIT_MS): Promise<void> {
  if (revoking.length === 0) return;
  const over = new AbortController();
  let finished: () => void = () => undefined;
  const done = new Promise<void>((resolve) => (finished = resolve));
  parts.background.run("revoke at targets", () => endAllNow(parts, revoking, over.signal).finally(finished));
  await Promise.race([done, pause(waitMs, over.signal)]);
  // Calls under way go on to their end; those not begun stay due, and the sweeper has them.
  over.abort();
}

/** The receipt of a task that ended, with all that ended under it, as it stands now. */
export async function receiptFor(parts: EndParts, task: Task, family: readonly TaskId[]): Promise<Receipt> {
  const endings: LeaseEnding[] = [];
  for (const id of family) endings.push(...(await parts.facts.settled(id, await parts.store.tasks.endings(id))));
  return receiptOf({ task: task.id, endedBy: task.endedBy }, endings, parts.now());
}

/** Waits for what can be revoked now, and for verifiers that are about to say that they know; two seconds at most. */
export async function settle(parts: EndParts, { family, revoking }: TaskEnding): Promise<void> {
  const verifiers = async (): Promise<void> => {
    const endings: LeaseEnding[] = [];
    for (const id of family) endings.push(...(await parts.store.tasks.endings(id)));
    await parts.facts.awaited(endings);
  };
  await Promise.all([revokeWithin(parts, revoking), verifiers()]);
}
