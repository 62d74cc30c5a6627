import type { Context } from "./context.ts";
import { keyColumns } from "./keys-ls.ts";
import { printList } from "./output.ts";
import { note } from "./screen.ts";

/** `stint keys rotate [--now]` */
export async function run(context: Context, options: { readonly now?: boolean }): Promise<number> {
  const { keys } = await context.operator().changeKeys({ action: "rotate", ...(options.now === true ? { immediately: true } : {}) });
  await printList(context.screen, {
    schema: "key/v1",
    items: keys,
    columns: keyColumns(context.screen, context.clock()),
    empty: "There is no signing key.",
  });
  note(
    context.screen,
    options.now === true
      ? "✓ the announced key signs from now on; the one before verifies until its last token has expired"
      : "✓ announced: it signs once verifiers have had time to fetch it",
  );
  return 0;
}
