import type { Context } from "./context.ts";
import { runServerSide } from "./server-side.ts";

/** `stint demo` */
export async function run({ env }: Context, options: { readonly keep?: boolean }): Promise<number> {
  return await runServerSide("scripts/demo", options.keep === true ? ["--keep"] : [], env);
}
