import type { Context } from "./context.ts";
import { note } from "./screen.ts";
import { clockTime } from "./times.ts";

/** `stint lease close LEASE --reason R` */
export async function run(context: Context, options: { readonly reason: string }, id: string): Promise<number> {
  const lease = await context.operator().close(id, options.reason);
  const { errColor } = context.screen;
  note(
    context.screen,
    `${errColor.yellow("!")} ${lease.id} is ${lease.state}: nobody confirmed its end. Its credential may work until ${clockTime(lease.expires_at, context.clock())}, or for as long as its target keeps it.`,
  );
  return 0;
}
