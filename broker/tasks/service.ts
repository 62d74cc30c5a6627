import { StintError } from "../../domain/errors.ts";
import { isId, newId, subjectBits, type TaskId } from "../../domain/ids.ts";
import type { Principal } from "../../domain/principal.ts";
import { denialFor, refusalOf } from "../denials/refusals.ts";
import type { Identify } from "../identify.ts";
import { scopedKey } from "../leases/idempotency.ts";
import { issue } from "../leases/issue.ts";
import type { Parts } from "../parts.ts";
import type { OpenTaskRequest, TaskService } from "./api.ts";
import { endTask, receiptFor, settle } from "./end.ts";
import { noSuchTask, requireFormerHolder, requireHolder, requireOpeningHolder, requireTaskId } from "./holder.ts";
import type { TaskTokens } from "./token.ts";

const HOUR_MS = 3_600_000;
/** An explicit task unless something else was asked for, and the most that may be. */
export const TASK_TTL_MS = HOUR_MS;
export const MAX_TASK_TTL_MS = 24 * HOUR_MS;
/** No shorter, and no heartbeat closer, than this: a caller's network must have its turn. */
const MIN_TASK_MS = 5_000;

export function createTasks(parts: Parts, identify: Identify, tokens: TaskTokens): TaskService {
  return {
    open: (request) => openTask(parts, identify, tokens, request),
    list: (filter, cursor, limit) => parts.store.tasks.list(filter, cursor, limit),

    async get(id, caller, origin) {
      const taskId = requireTaskId(id);
      if (caller.kind === "bearer") await requireFormerHolder(parts, tokens, caller.token, taskId, origin);
      const task = await parts.store.tasks.get(taskId);
      if (task === undefined) throw noSuchTask();
      if (task.state === "open") return { task, receipt: undefined };
      // Ending again changes nothing, and tells who else belonged to it.
      const ending = await endTask(parts, taskId, task.endedBy ?? "complete", task.outcome, { principal: "broker" });
      return { task, receipt: await receiptFor(parts, task, ending?.family ?? [taskId]) };
    },

    async credential(request) {
      parts.gate.require();
      const { principal, parent, taskId } = await requireOpeningHolder(tokens, request.taskToken, request.taskId, request.origin);
      const { idempotency, origin } = request;
      return issue(parts, {
        principal,
        request,
        audiences: [],
        task: { kind: "task", id: taskId },
        parent,
        evidenceEndsAt: undefined,
        idempotency,
        origin,
      });
    },

    async heartbeat(id, taskToken, origin) {
      const { taskId } = await requireHolder(parts, tokens, taskToken, id, origin);
      const task = await parts.store.tasks.heartbeat(taskId);
      if (task === undefined) throw noSuchTask();
      if (task.state === "ended") throw new StintError("task_ended", "the task has ended");
      return task;
    },

    async complete({ taskId: id, taskToken, outcome, by, origin }) {
      const { taskId, principal } = await requireFormerHolder(parts, tokens, taskToken, id, origin);
      const ending = await endTask(parts, taskId, by, outcome, { principal: principal.subject, origin });
      if (ending === undefined) throw noSuchTask();
      await settle(parts, ending);
      return receiptFor(parts, ending.task, ending.family);
    },
  };
}

async function openTask(parts: Parts, identify: Identify, tokens: TaskTokens, request: OpenTaskRequest): ReturnType<TaskService["open"]> {
  parts.gate.require();
  const principal = await identify.outside(request.evidence, request.origin, request.bind);
  const policy = parts.policy();
  const now = parts.now();
  const taskId = newId("task", now, subjectBits(principal.subject));
  const parent = await parentOf(parts, request.parent, now);
  const denial = denialFor({ principal, grant: undefined, origin: request.origin }, now);
  const reply = await parts.store.tasks.open({
    taskId,
    principal,
    ttlMs: Math.min(clampTtl(request.ttlMs), parent?.leftMs ?? MAX_TASK_TTL_MS),
    heartbeatMs: request.heartbeatMs === undefined ? undefined : Math.max(MIN_TASK_MS, request.heartbeatMs),
    purpose: request.purpose,
    parent: parent?.id,
    implicit:
      principal.taskValue === undefined
        ? undefined
        : {
            value: principal.taskValue,
            ttlMs: request.ttlMs === undefined ? policy.settings.implicitTaskTtlMs : clampTtl(request.ttlMs),
            heldMs: policy.settings.implicitTaskTtlMs,
          },
    idempotency: scopedKey({ idempotency: request.idempotency, principal, origin: request.origin }),
    audit: openedFacts(principal, policy.version, request),
    denial,
    retentionMs: policy.settings.retentionMs,
  });
  if (reply.outcome === "refused") throw refusalOf(reply, denial.id);
  parts.events.publish(reply.outcome === "joined" ? "task.joined" : "task.opened", { task: reply.task.id, workload: principal.workload });
  return { task: reply.task, taskToken: await tokens.sign(reply.task, principal), joined: reply.outcome === "joined" };
}

const openedFacts = (principal: Principal, policy: string, request: OpenTaskRequest) => ({
  action: "task.opened" as const,
  principal: principal.subject,
  decision: "allow" as const,
  policy,
  trust: principal.trust,
  workload: principal.workload,
  subject: principal.subject,
  ...(request.purpose === undefined ? {} : { purpose: request.purpose }),
  trace_id: request.origin.traceId,
});

function clampTtl(asked: number | undefined): number {
  return Math.min(MAX_TASK_TTL_MS, Math.max(MIN_TASK_MS, asked ?? TASK_TTL_MS));
}

/** A child lives no longer than its parent. Whoever names a parent gives it power over the child, and takes none. */
async function parentOf(
  parts: Parts,
  named: string | undefined,
  now: number,
): Promise<{ readonly id: TaskId; readonly leftMs: number } | undefined> {
  if (named === undefined) return undefined;
  if (!isId("task", named)) throw new StintError("not_found", "there is no such parent task");
  const parent = await parts.store.tasks.get(named);
  if (parent === undefined) throw new StintError("not_found", "there is no such parent task");
  if (parent.state === "ended" || parent.expiresAt <= now) throw new StintError("task_ended", "the parent task has ended");
  return { id: parent.id, leftMs: parent.expiresAt - now };
}
