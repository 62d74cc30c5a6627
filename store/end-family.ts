import type { AuditFacts } from "../domain/audit-event.ts";
import { bucketOfId, isId, type LeaseId, type TaskId } from "../domain/ids.ts";
import type { EndedBy } from "../domain/lease.ts";
import type { Task, TaskOutcome } from "../domain/task.ts";
import { bare, recordKey } from "./keyspace.ts";
import { readTask } from "./task-records.ts";
import type { RedisClient } from "./connect.ts";
import { texts, type Runner } from "./run.ts";

/** Tasks of one generation that end side by side: others must have their turn between their scripts. */
const AT_ONCE = 8;
/** So long nobody looks again for a task whose ending no replica has heard of: those that are due first have their turn first. */
const HIDE_MS = 30_000;

export interface EndOrder {
  readonly id: TaskId;
  readonly by: EndedBy;
  readonly outcome: TaskOutcome | undefined;
  readonly audit: AuditFacts;
  readonly retentionMs: number;
}

export interface EndedFamily {
  readonly task: Task;
  /** The task and all below it, parents first; the task alone when it turned out to be alive. */
  readonly family: ReadonlySet<TaskId>;
  /** Leases of all of them that still need a call at their target. */
  readonly revoking: ReadonlySet<LeaseId>;
}

/**
 * Ends a task and all below it. First all of it ends, whatever replicas do. Where answers wait for them it is ended once more, each
 * script with their word for it: had the primary changed since the first time, they would be asked about one that never heard of the
 * end. What a failover took back ends again then; nothing else changes. Only then is it forgotten that there is anything left to end.
 */
export async function endFamily(runner: Runner, order: EndOrder): Promise<EndedFamily | undefined> {
  const ended = await walk(order, acting(runner));
  if (ended === undefined || ended.task.state === "open") return ended;
  const kept = runner.waits() ? await walk(order, keeping(runner)) : undefined;
  const family = new Set([...ended.family, ...(kept?.family ?? [])]);
  await sideBySide([...family].toReversed(), (id) =>
    runner.run("finish-task", bucketOfId(id), { id: bare(id), retention: order.retentionMs }),
  );
  return { task: ended.task, family, revoking: new Set([...ended.revoking, ...(kept?.revoking ?? [])]) };
}

interface How {
  readonly run: Runner["run"];
  readonly read: <T>(key: string, send: (client: RedisClient) => Promise<T>) => Promise<T>;
  /** 1: the task's own clock is not asked. */
  readonly withParent: 0 | 1;
  readonly hideMs: number;
}

const acting = (runner: Runner): How => ({
  run: (name, place, args) => runner.run(name, place, args),
  read: (_key, send) => runner.ask(send),
  withParent: 0,
  hideMs: 0,
});
/** What the task's own clock said was found out the first time. */
const keeping = (runner: Runner): How => ({
  run: (name, place, args) => runner.runKept(name, place, args),
  read: (key, send) => runner.keep(key, send),
  withParent: 1,
  hideMs: HIDE_MS,
});

/** A generation after the other. A child ends as its parent did, whatever its own clock says; one that was joined under several, or below itself, once. */
async function walk(order: EndOrder, how: How): Promise<EndedFamily | undefined> {
  const known = new Set([order.id]);
  const family = new Set<TaskId>();
  const revoking = new Set<LeaseId>();
  let root: Task | undefined;
  let generation = [{ id: order.id, audit: order.audit }];
  while (generation.length > 0) {
    const below: typeof generation = [];
    await sideBySide(generation, async ({ id, audit }) => {
      const ended = await endOne({ ...order, id, audit }, id === order.id ? how : { ...how, withParent: 1 }, revoking);
      if (ended === undefined) return; // entered under its parent, and never opened
      if (id === order.id) root = ended.task;
      family.add(id);
      for (const child of ended.isParent ? await childrenOf(id, how) : []) {
        if (known.has(child)) continue;
        known.add(child);
        below.push({ id: child, audit: { ...order.audit, parent: id } });
      }
    });
    generation = below;
  }
  return root === undefined ? undefined : { task: root, family, revoking };
}

/** Ends one task page by page, and adds to `revoking` what of it needs a call. */
async function endOne(order: EndOrder, how: How, revoking: Set<LeaseId>): Promise<{ task: Task; isParent: boolean } | undefined> {
  const { id, by, outcome, audit, retentionMs } = order;
  let page = { task: "", cursor: "", isParent: false };
  do {
    const [word, task = "", cursor = "", isParent, ...leases] = texts(
      await how.run("end-task", bucketOfId(id), {
        id: bare(id),
        by,
        outcome: outcome ?? "",
        cursor: page.cursor,
        with_parent: how.withParent,
        hide: how.hideMs,
        retention: retentionMs,
        said: JSON.stringify(audit),
      }),
    );
    if (word === "unknown") return undefined;
    page = { task, cursor, isParent: isParent === "1" };
    for (const lease of leases) revoking.add(`lease_${lease}`);
  } while (page.cursor !== "");
  return { task: readTask(bare(id), page.task), isParent: page.isParent };
}

/** Read where the end was kept, when it was: from then on no child is entered there. */
const childrenOf = async (id: TaskId, how: How): Promise<TaskId[]> =>
  (await how.read(recordKey("tc", id), (client) => client.smembers(recordKey("tc", id)))).filter((child) => isId("task", child));

async function sideBySide<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < items.length; from += AT_ONCE) await Promise.all(items.slice(from, from + AT_ONCE).map(work));
}
