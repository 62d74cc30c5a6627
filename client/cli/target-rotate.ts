import type { Context } from "./context.ts";
import { clean, note } from "./screen.ts";
import { clockTime } from "./times.ts";

/** `stint target rotate TARGET` */
export async function run(context: Context, options: { readonly reason?: string }, target: string): Promise<number> {
  const { screen, clock } = context;
  const operator = context.operator();
  const before = (await operator.targets()).items.find(({ name }) => name === target);
  const view = await operator.rotateTarget(target, options.reason === undefined ? {} : { reason: options.reason });
  const changed = view.password_changed_at;
  // A CA is announced before it signs: until then what signs is what signed before, and the target says from when on the next one does.
  if (changed !== null && changed === before?.password_changed_at)
    note(screen, `✓ the next key at ${clean(view.name)} is announced; the one of now signs until then`);
  else
    note(
      screen,
      `✓ the broker's own password or key at ${clean(view.name)} was changed${changed === null ? "" : ` at ${clockTime(changed, clock())}`}`,
    );
  for (const warning of view.warnings) note(screen, `  ${clean(warning)}`);
  return 0;
}
