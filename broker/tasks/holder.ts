import { StintError } from "../../domain/errors.ts";
import { isId, type TaskId } from "../../domain/ids.ts";
import type { Secret } from "../../domain/secret.ts";
import type { Origin } from "../callers.ts";
import { provenHolder, spendProof, withKey } from "../dpop/possession.ts";
import type { Parts } from "../parts.ts";
import type { TaskHolder, TaskTokens } from "./token.ts";

type HolderParts = Pick<Parts, "store">;

/** Foreign and unknown tasks look alike. */
export const noSuchTask = (): StintError => new StintError("not_found", "there is no such task, or it is not yours");

/**
 * The holder of this very task's live token. Throws `unauthenticated` for what is no task token, `not_found` for another task's,
 * `binding_mismatch` where the token's key is not proven. The proof is spent here, so this is for what no script opens.
 */
export async function requireHolder(
  parts: HolderParts,
  tokens: TaskTokens,
  token: Secret,
  id: string,
  origin: Origin,
): Promise<TaskHolder> {
  return spent(parts, proven(sameTask(await tokens.verify(token), id), origin));
}

/** The same, for a request whose proof the opening script spends. */
export async function requireOpeningHolder(tokens: TaskTokens, token: Secret, id: string, origin: Origin): Promise<TaskHolder> {
  return proven(sameTask(await tokens.verify(token), id), origin);
}

/** The same, though the task may be over: its receipt may still be read, and ended again. */
export async function requireFormerHolder(
  parts: HolderParts,
  tokens: TaskTokens,
  token: Secret,
  id: string,
  origin: Origin,
): Promise<TaskHolder> {
  return spent(parts, proven(sameTask(await tokens.verifyEnded(token), id), origin));
}

/** The holder, once the key that the token is bound to has been proven by this request. */
export const proven = (holder: TaskHolder, origin: Origin): TaskHolder => ({
  ...holder,
  principal: withKey(holder.principal, provenHolder(holder.key, origin.possession)),
});

/** Spends the proof that a bound token came with. One that came with a token that needs none proves nothing, and is left alone. */
export async function spent(parts: HolderParts, holder: TaskHolder): Promise<TaskHolder> {
  if (holder.key !== undefined) await spendProof(parts, holder.principal);
  return holder;
}

function sameTask(holder: TaskHolder | undefined, id: string): TaskHolder {
  if (holder === undefined) throw new StintError("unauthenticated", "present the task token of this task in Authorization");
  if (holder.taskId !== id) throw noSuchTask();
  return holder;
}

/** The id if it is one. Throws `not_found`. */
export function requireTaskId(id: string): TaskId {
  if (!isId("task", id)) throw noSuchTask();
  return id;
}
