import type { Context } from "./context.ts";
import { note } from "./screen.ts";
import { clockTime } from "./times.ts";

/** `stint lease close LEASE --reason R` */
export async function run(context: Context, options: { readonly reason: string }, id: string): Promise<number> {
  const lease = await context.operator().close(id, options.reason);
  const { errColor } = context.screen;
  const until = clockTime(lease.expires_at, context.clock());
  if (lease.state === "forced")
    note(
      context.screen,
      `${errColor.yellow("!")} ${lease.id} is forced: nobody confirmed its end. Its credential may work until ${until}, or for as long as its target keeps it.`,
    );
  else {
    const left = lease.revocation === "expiry_only" ? ` Verifiers that do not ask honour its credential until ${until}.` : "";
    note(context.screen, `${errColor.green("✓")} ${lease.id} is ${lease.state}: nothing had to be given up.${left}`);
  }
  return 0;
}
