import { bucketOfId, bucketOfSubject, type TaskId } from "../domain/ids.ts";
import type { EndedBy } from "../domain/lease.ts";
import type { Task } from "../domain/task.ts";
import type { LeaseEnding, OpenTaskOrder, Page, Refused, TaskStore } from "./api.ts";
import { endFamily } from "./end-family.ts";
import { denialArgs, evidenceArgs, idempotencyArgs, refused, valueHash } from "./arguments.ts";
import { ALL_BUCKETS, bare, placeKey, recordKey } from "./keyspace.ts";
import { fieldsOf } from "./lease-list.ts";
import { readMarks, readStanding } from "./marks.ts";
import { endingOf, readEnding } from "./records.ts";
import { readTask } from "./task-records.ts";
import { texts, type Runner } from "./run.ts";
import { cursorOf, readCursor, recordsOf, walkByScore } from "./walk.ts";

/** Leases of a task that are read at once. */
const ENDINGS = 1_000;

/** The task half of the store: one method, one script (ending: see end-family.ts). */
export function createTaskStore(runner: Runner): TaskStore {
  return {
    open: (order) => open(runner, order),
    async get(id) {
      const text = await runner.ask((client) => client.get(recordKey("t", id)));
      return text === null ? undefined : readTask(bare(id), text);
    },
    list: (filter, cursor, limit) => list(runner, filter, cursor, limit),
    async heartbeat(id) {
      const reply = texts(await runner.run("heartbeat-task", bucketOfId(id), { id: bare(id) }));
      return reply[0] === "known" ? readTask(bare(id), reply[1] ?? "") : undefined;
    },
    end: (id, by, outcome, audit, retentionMs) => endFamily(runner, { id, by, outcome, audit, retentionMs }),
    due: (bucket, limit) => due(runner, bucket, limit),
    endings: (id) => endings(runner, id),
  };
}

async function open(runner: Runner, order: OpenTaskOrder): Promise<{ outcome: "opened" | "joined" | "replayed"; task: Task } | Refused> {
  const { principal, implicit } = order;
  // Entered under its parent before it exists: a crash in between leaves an entry that ending skips.
  const entered = order.parent === undefined ? undefined : await enter(runner, order.parent, order.taskId);
  if (entered === "ended") return refuseUnder(runner, order);
  const reply = texts(
    await runner.run("open-task", bucketOfSubject(principal.subject), {
      id: bare(order.taskId),
      subject: principal.subject,
      workload: principal.workload,
      trust: principal.trust,
      ttl: implicit?.ttlMs ?? order.ttlMs,
      deadline: entered ?? 0,
      heartbeat: order.heartbeatMs ?? 0,
      purpose: order.purpose ?? "",
      parent: order.parent ?? "",
      value: implicit?.value.slice(0, 256) ?? "",
      value_hash: implicit === undefined ? "" : valueHash(principal.subject, principal.trust, implicit.value),
      value_held: implicit?.heldMs ?? 0,
      ...evidenceArgs(principal.evidence, runner.clock.now()),
      ...idempotencyArgs(order.idempotency),
      said: JSON.stringify(order.audit),
      joined_said: JSON.stringify({ ...order.audit, action: "task.joined" }),
      ...denialArgs(order.denial, order.audit, order.retentionMs),
    }),
  );
  const [outcome, id = "", text = ""] = reply;
  if (outcome === "refused") return refused(reply);
  const task = readTask(id, text);
  // Once more, now that it exists: the parent may have ended in between, and a task that was joined is not the one entered before.
  if (order.parent !== undefined && (await enter(runner, order.parent, task.id)) === "ended") {
    if (task.parent === order.parent)
      await endFamily(runner, {
        id: task.id,
        by: "revoked",
        outcome: undefined,
        audit: { action: "task.ended", principal: "broker", parent: order.parent },
        retentionMs: order.retentionMs,
      });
    return refuseUnder(runner, order);
  }
  return { outcome: outcome === "joined" || outcome === "replayed" ? outcome : "opened", task };
}

/** When the parent ends, or `ended` if it has. */
async function enter(runner: Runner, parent: TaskId, child: TaskId): Promise<number | "ended"> {
  const reply = texts(await runner.run("enter-child", bucketOfId(parent), { parent: bare(parent), child }));
  return reply[0] === "entered" ? Number(reply[1]) : "ended";
}

async function refuseUnder(runner: Runner, order: OpenTaskOrder): Promise<Refused> {
  const { denied: said, ...denial } = denialArgs(order.denial, order.audit, order.retentionMs);
  const { subject, evidence } = order.principal;
  await runner.run("record-denial", bucketOfId(order.denial.id), {
    ...denial,
    subject,
    said,
    code: "task_ended",
    message: "",
    ...evidenceArgs(evidence, runner.clock.now()),
  });
  return { outcome: "refused", code: "task_ended" };
}

async function due(runner: Runner, bucket: number, limit: number): Promise<{ id: TaskId; by: EndedBy }[]> {
  const now = runner.clock.now();
  const ids = await runner.ask((client) => client.zrangebyscore(`${placeKey(bucket)}:tdue`, "-inf", now, "LIMIT", 0, limit));
  const rows = await recordsOf(runner, bucket, "t", ids);
  return ids.map((id, index) => {
    const text = rows[index];
    // without a record nothing is left to end, and ending it says so
    if (text === null || text === undefined) return { id: `task_${id}`, by: "deadline" };
    const task = readTask(id, text);
    return { id: task.id, by: task.endedBy ?? (task.expiresAt <= now ? "deadline" : "heartbeat") };
  });
}

async function* endings(runner: Runner, id: TaskId): AsyncGenerator<readonly LeaseEnding[]> {
  const bucket = bucketOfId(id);
  const key = recordKey("tl", id);
  let cursor = "0";
  do {
    const [next, flat] = await runner.ask((client) => client.hscan(key, cursor, "COUNT", ENDINGS));
    const ids = fieldsOf(flat);
    const texts = new Map(ids.map((lease, index) => [lease, flat[2 * index + 1] ?? ""]));
    const alive = ids.filter((lease) => texts.get(lease) === "");
    const records = await recordsOf(runner, bucket, "l", alive);
    const marks = alive.length === 0 ? {} : await readMarks(runner, bucket);
    const standing = new Map(alive.map((lease, index) => [lease, records[index] ?? ""]));
    yield ids.flatMap((lease) => {
      const text = texts.get(lease) ?? "";
      if (text !== "") return [readEnding(`lease_${lease}`, text)];
      const record = standing.get(lease) ?? "";
      return record === "" ? [] : [endingOf(readStanding(lease, record, marks))];
    });
    cursor = next;
  } while (cursor !== "0");
}

/** Open tasks by what is due first, then ended ones by when they ended. */
async function list(
  runner: Runner,
  filter: { workload?: string | undefined; state?: string | undefined },
  cursor: string | undefined,
  limit: number,
): Promise<Page<Task>> {
  const indexes = filter.state === "open" ? ["tdue"] : filter.state === "ended" ? ["tended"] : ["tdue", "tended"];
  const walks = indexes.flatMap((index) => ALL_BUCKETS.map((bucket) => ({ index, bucket })));
  const start = readCursor(cursor) ?? { bucket: 0, at: "" };
  const items: Task[] = [];
  let looked = 0;
  for (let walk = start.bucket; walk < walks.length; walk++) {
    const { index, bucket } = walks[walk] ?? { index: "tdue", bucket: 0 };
    let at: string | undefined = walk === start.bucket ? start.at : "";
    while (at !== undefined) {
      const page = await walkByScore(runner, `${placeKey(bucket)}:${index}`, at, Math.min(limit - items.length, 200));
      items.push(...(await readTasks(runner, bucket, page.members)).filter((task) => matches(task, filter, index)));
      looked += Math.max(1, page.members.length);
      at = page.next;
      if (items.length >= limit || looked >= 1000) {
        const more = at !== undefined ? { bucket: walk, at } : walk + 1 < walks.length ? { bucket: walk + 1, at: "" } : undefined;
        return { items, nextCursor: more === undefined ? undefined : cursorOf(more) };
      }
    }
  }
  return { items, nextCursor: undefined };
}

function matches(task: Task, filter: { workload?: string | undefined }, index: string): boolean {
  if (index === "tdue" && task.state !== "open") return false; // still in the due set while its ending goes on
  return filter.workload === undefined || task.workload === filter.workload || task.subject === filter.workload;
}

async function readTasks(runner: Runner, bucket: number, ids: readonly string[]): Promise<Task[]> {
  const rows = await recordsOf(runner, bucket, "t", ids);
  return rows.flatMap((text, index) => (text === null ? [] : [readTask(ids[index] ?? "", text)]));
}
