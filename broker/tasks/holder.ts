import { StintError } from "../../domain/errors.ts";
import { isId, type TaskId } from "../../domain/ids.ts";
import type { Secret } from "../../domain/secret.ts";
import type { TaskHolder, TaskTokens } from "./token.ts";

/** Foreign and unknown tasks look alike. */
export const noSuchTask = (): StintError => new StintError("not_found", "there is no such task, or it is not yours");

/** The holder of this very task's live token. Throws `unauthenticated` for what is no task token, `not_found` for another task's. */
export async function requireHolder(tokens: TaskTokens, token: Secret, id: string): Promise<TaskHolder> {
  return sameTask(await tokens.verify(token), id);
}

/** The same, though the task may be over: its receipt may still be read, and ended again. */
export async function requireFormerHolder(tokens: TaskTokens, token: Secret, id: string): Promise<TaskHolder> {
  return sameTask(await tokens.verifyEnded(token), id);
}

function sameTask(holder: TaskHolder | undefined, id: string): TaskHolder {
  if (holder === undefined) throw new StintError("unauthenticated", "present the task token of this task as a Bearer token");
  if (holder.taskId !== id) throw noSuchTask();
  return holder;
}

/** The id if it is one. Throws `not_found`. */
export function requireTaskId(id: string): TaskId {
  if (!isId("task", id)) throw noSuchTask();
  return id;
}
