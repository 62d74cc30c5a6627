import type { Context } from "./context.ts";
import { runServerSide } from "./server-side.ts";

/** `stint demo` */
export async function run({ env }: Context, options: { readonly all?: boolean; readonly keep?: boolean }): Promise<number> {
  const args = (["all", "keep"] as const).filter((name) => options[name] === true).map((name) => `--${name}`);
  return await runServerSide("scripts/demo", args, env);
}
