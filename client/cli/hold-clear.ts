import type { Context } from "./context.ts";
import { note } from "./screen.ts";
import { EXIT } from "./exit-codes.ts";

/** `stint hold clear --reason R` */
export async function run(context: Context, options: { readonly reason: string }): Promise<number> {
  const hold = await context.operator().clearHold(options.reason);
  const { screen } = context;
  if (hold.held) {
    note(screen, `${screen.errColor.red("✗")} still on hold: ${hold.reason ?? "not said why"}`);
    return EXIT.failure;
  }
  note(screen, `${screen.errColor.green("✓")} the hold is cleared: credentials are issued again, waiting revocations go on`);
  return EXIT.ok;
}
