import type { Context } from "./context.ts";
import { runServerSide } from "./server-side.ts";

/** `stint keys reseal` */
export async function run({ env }: Context): Promise<number> {
  return await runServerSide("broker/commands/reseal", [], env);
}
