import type { Context } from "./context.ts";
import { runServerSide } from "./server-side.ts";

/** `stint policy check|test|lint [PATH]`: no broker is asked; the code that a broker would load them with runs here. */
export const offline =
  (verb: string) =>
  async ({ env, url, screen }: Context, options: { readonly json?: string }, path = env["STINT_CONFIG"] ?? "stint"): Promise<number> =>
    await runServerSide("broker/commands/policy", [verb, path, ...(options.json === undefined ? [] : ["--json"])], {
      ...env,
      STINT_URL: url,
      ...(screen.color.isColorSupported ? {} : { NO_COLOR: "1" }),
    });
