import { join } from "node:path";
import type { Context } from "./context.ts";
import { runServerSide } from "./server-side.ts";

interface Options {
  readonly json?: string;
  readonly key?: readonly string[];
  readonly checkpoint?: readonly string[];
}

/** `stint audit verify [DIRECTORY...]`: files only, no broker is asked. */
export async function run({ env }: Context, options: Options, directories: readonly string[]): Promise<number> {
  const where = directories.length > 0 ? directories : [env["STINT_AUDIT_DIR"] ?? join(env["STINT_DATA_DIR"] ?? ".stint", "audit")];
  const given = (name: string, files: readonly string[] = []): string[] => files.flatMap((file) => [`--${name}`, file]);
  const args = [
    ...given("key", options.key),
    ...given("checkpoint", options.checkpoint),
    ...(options.json === undefined ? [] : ["--json"]),
  ];
  return await runServerSide("broker/commands/audit-verify", [...args, "--", ...where], env);
}
