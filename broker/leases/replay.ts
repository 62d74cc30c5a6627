import type { Lease } from "../../domain/lease.ts";
import type { Task } from "../../domain/task.ts";

/** What signing the same token again needs beyond the lease itself. Never a credential. */
export interface Replay {
  readonly ttlMs: number;
  readonly scope: readonly string[];
  readonly purpose: string;
  readonly params: unknown;
}

/** As the store keeps it beside the idempotency key. */
export const toReplay = (replay: Replay): string => JSON.stringify(replay);

/** The parts of the first order that a repeated request must not change: same scope, same claims, same `exp`, whatever policy says now. */
export function recall(
  text: string,
  lease: Lease,
  task: Task,
):
  | { readonly scope: readonly string[]; readonly purpose: string | undefined; readonly params: unknown; readonly expiresAt: number }
  | undefined {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof read !== "object" || read === null) return undefined;
  const { ttlMs, scope, purpose, params } = read as Readonly<Record<string, unknown>>;
  if (typeof ttlMs !== "number" || !Array.isArray(scope) || typeof purpose !== "string") return undefined;
  return {
    scope: scope.filter((item) => typeof item === "string"),
    purpose: purpose === "" ? undefined : purpose,
    params,
    // A renewal may have moved the lease's end since; the first token had its own.
    expiresAt: Math.min(lease.openedAt + ttlMs, task.expiresAt, lease.expiresAt),
  };
}
