import type { Context } from "./context.ts";
import { note } from "./screen.ts";
import { plural } from "./receipt.ts";

/** `stint keys reseal`: after every broker was restarted with the new master key first in its list. */
export async function run(context: Context): Promise<number> {
  const { resealed } = await context.operator().changeKeys({ action: "reseal" });
  const { screen } = context;
  note(
    screen,
    `${screen.errColor.green("✓")} ${plural(resealed ?? 0, "private key")} sealed anew under the first master key. Take the old one out of STINT_MASTER_KEY when no broker needs it any more.`,
  );
  return 0;
}
