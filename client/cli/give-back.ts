import { secretVariable, type Context } from "./context.ts";
import type { Given } from "./request.ts";
import { clean, note } from "./screen.ts";

/** Uses a credential that was just made. One that cannot be handed over is given back at once: nobody has it, and it would live on. */
export async function orGiveBack<T>(context: Context, view: Given, use: (view: Given) => T | Promise<T>): Promise<T> {
  try {
    return await use(view);
  } catch (error) {
    await giveBack(context, view);
    throw error;
  }
}

async function giveBack({ broker, env, screen }: Context, view: Given): Promise<void> {
  const taskToken = view.task_token ?? secretVariable(env, "STINT_TASK_TOKEN");
  if (taskToken === undefined) return;
  try {
    await broker.release(view.lease_id, taskToken);
    note(screen, `  ${clean(view.lease_id)} was given back: nobody has it`);
  } catch {
    note(screen, `! ${clean(view.lease_id)} could not be given back and ends at ${clean(view.expires_at)}`);
  }
}
