import { join } from "node:path";
import type { Context } from "./context.ts";
import { runServerSide } from "./server-side.ts";

/** `stint audit verify [DIRECTORY...]` */
export async function run({ env }: Context, options: { readonly json?: string }, directories: readonly string[]): Promise<number> {
  const where = directories.length > 0 ? directories : [env["STINT_AUDIT_DIR"] ?? join(env["STINT_DATA_DIR"] ?? ".stint", "audit")];
  return await runServerSide("broker/commands/audit-verify", [...(options.json === undefined ? [] : ["--json"]), "--", ...where], env);
}
