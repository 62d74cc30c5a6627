import type { Context } from "./context.ts";
import { runServerSide } from "./server-side.ts";

/** `stint serve` */
export async function run({ env }: Context, options: { readonly config?: string; readonly watch?: boolean }): Promise<number> {
  const more = {
    ...(options.config === undefined ? {} : { STINT_CONFIG: options.config }),
    ...(options.watch === true ? { STINT_WATCH: "1" } : {}),
  };
  return await runServerSide("broker/main", [], { ...env, ...more });
}
