import type { Context } from "./context.ts";
import { EXIT } from "./exit-codes.ts";
import { follow } from "./revocation-progress.ts";
import { clean, note } from "./screen.ts";

/** `stint keys withdraw KID --reason R` */
export async function run(context: Context, options: { readonly reason: string }, kid: string): Promise<number> {
  const operator = context.operator();
  const { revocation } = await operator.changeKeys({ action: "withdraw", kid, reason: options.reason });
  note(
    context.screen,
    `${context.screen.errColor.green("✓")} ${clean(kid)} is withdrawn: out of the published keys, and refused by this broker. Verifiers that cache keys forget it when their cache ends.`,
  );
  return revocation === null ? EXIT.ok : await follow(context, operator, revocation);
}
