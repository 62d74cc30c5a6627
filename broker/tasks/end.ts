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
import { RECEIPT_LEASES, ReceiptDraft } from "./receipt.ts";

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
  const draft = new ReceiptDraft();
  for await (const { id, endings } of endingsOf(parts, family)) draft.add(await parts.facts.settled(id, endings), parts.now());
  return draft.finish({ task: task.id, endedBy: task.endedBy });
}

/** How the leases of these tasks stand, page by page: nobody knows how many there are. */
export async function* endingsOf(
  parts: Pick<Parts, "store">,
  family: readonly TaskId[],
): AsyncGenerator<{ readonly id: TaskId; readonly endings: readonly LeaseEnding[] }> {
  for (const id of family) {
    for await (const endings of parts.store.tasks.endings(id)) yield { id, endings };
  }
}

/** Waits for what can be revoked now, and for verifiers that are about to say that they know; two seconds at most. */
export async function settle(parts: EndParts, { family, revoking }: TaskEnding): Promise<void> {
  const verifiers = async (): Promise<void> => {
    // All ended at nearly the same time: whoever knows of these knows of the rest, or hears of it next.
    const first: LeaseEnding[] = [];
    for await (const { endings } of endingsOf(parts, family)) {
      for (const ending of endings) first.push(ending);
      if (first.length >= RECEIPT_LEASES) break;
    }
    await parts.facts.awaited(first);
  };
  await Promise.all([revokeWithin(parts, revoking), verifiers()]);
}
