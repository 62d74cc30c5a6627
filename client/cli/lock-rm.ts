import type { Context } from "./context.ts";
import { clean, note } from "./screen.ts";

/** `stint lock rm LOCK` */
export async function run(context: Context, _options: object, id: string): Promise<number> {
  await context.operator().unlock(id);
  note(context.screen, `${context.screen.errColor.green("✓")} ${clean(id)} removed`);
  return 0;
}
