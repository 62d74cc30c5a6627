import { StintError } from "../../domain/errors.ts";
import { isId, newId, type LockId } from "../../domain/ids.ts";
import type { Lock } from "../../store/api.ts";
import type { Operator } from "../callers.ts";
import type { Parts } from "../parts.ts";
import type { LockService } from "./api.ts";
import { once } from "./once.ts";
import type { Resolved } from "./selector.ts";

const principalOf = (operator: Operator): string => `operator:${operator.name}`;

interface LockOrder {
  readonly ttlMs: number;
  readonly reason: string;
  readonly message: string | undefined;
  readonly by: string;
  readonly traceId: string | undefined;
}

/** A lock lasts at most a year; what must last longer belongs into the policy. */
const MAX_LOCK_MS = 366 * 86_400_000;

/** Puts the lock in force everywhere it concerns, and says who did. */
export async function addLock(parts: Parts, what: Resolved["lock"], order: LockOrder): Promise<Lock> {
  if (!(order.ttlMs >= 1_000) || order.ttlMs > MAX_LOCK_MS)
    throw new StintError("invalid_request", "a lock lasts between one second and a year");
  const at = parts.now();
  const id: LockId = newId("lock", at);
  const lock: Lock = { id, scope: what.scope, until: at + order.ttlMs, reason: order.reason, message: order.message, by: order.by, at };
  await parts.store.revocations.addLock(lock, what.subjects, {
    action: "lock.added",
    principal: order.by,
    lock: id,
    selector: what.scope,
    until: lock.until,
    reason: order.reason,
    ...(order.traceId === undefined ? {} : { trace_id: order.traceId }),
  });
  parts.events.publish("lock.added", { lock: id, scope: what.scope, by: order.by });
  return lock;
}

/** Locks that stand alone. */
export function createLocks(parts: Parts): LockService {
  return {
    add: ({ scope, ttlMs, reason, message, operator, idempotency, origin }) =>
      once(
        parts,
        { idempotency, operator, origin },
        {
          async make() {
            const subjects = scope.kind === "workload" ? await parts.store.revocations.subjectsOf(scope.name) : [];
            return addLock(parts, { scope, subjects }, { ttlMs, reason, message, by: principalOf(operator), traceId: origin.traceId });
          },
          remember: (made) => (made instanceof StintError ? undefined : JSON.stringify(made)),
          recall: async (lock) => JSON.parse(lock) as Lock,
        },
      ),
    list: () => parts.store.revocations.locks(),
    async remove(id, operator, origin) {
      const removed = isId("lock", id)
        ? await parts.store.revocations.removeLock(id, {
            action: "lock.removed",
            principal: principalOf(operator),
            lock: id,
            trace_id: origin.traceId,
          })
        : undefined;
      if (removed === undefined) throw new StintError("not_found", "there is no such lock");
      parts.events.publish("lock.removed", { lock: id, by: operator.name });
      return removed;
    },
  };
}
