import { execFile } from "node:child_process";
import { systemCode } from "../errors.ts";
import type { Environment } from "./source.ts";

/** What a platform's own program prints when it is asked for a token. `missing` when the program is not there. */
export async function askProgram(
  program: string,
  args: readonly string[],
  env: Environment,
): Promise<{ readonly token: string } | { readonly failed: "missing" | "refused"; readonly cause: unknown }> {
  return await new Promise((resolve) => {
    execFile(program, args, { env: { ...env }, timeout: 15_000, maxBuffer: 65_536 }, (error, stdout) => {
      if (error === null) resolve({ token: stdout });
      else resolve({ failed: systemCode(error) === "ENOENT" ? "missing" : "refused", cause: error });
    });
  });
}
