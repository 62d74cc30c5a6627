import type { Context } from "./context.ts";
import { note } from "./screen.ts";
import { clockTime } from "./times.ts";

/** `stint target rotate TARGET` */
export async function run(context: Context, options: { readonly reason?: string }, target: string): Promise<number> {
  const view = await context.operator().rotateTarget(target, options.reason === undefined ? {} : { reason: options.reason });
  const when = view.password_changed_at === null ? "" : ` at ${clockTime(view.password_changed_at, context.clock())}`;
  note(context.screen, `✓ the broker's own password or key at ${view.name} was changed${when}`);
  return 0;
}
