import type { Context } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { runServerSide } from "./server-side.ts";

/** `stint dev` */
export async function run({ env }: Context, options: { readonly port: string }): Promise<number> {
  if (!/^\d{1,5}$/.test(options.port) || Number(options.port) > 65_535) throw new UsageError(`--port: "${options.port}" is not a port`);
  return await runServerSide("scripts/dev", ["--port", options.port], env);
}
