import { dockerAnswer } from "../deliver/login.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit-codes.ts";
import { fail } from "./fail.ts";
import { askForProgram, isHost, told, type HelperOptions } from "./helper-ask.ts";

interface Options extends HelperOptions {
  readonly host: string;
  readonly username?: string;
}

/** What docker takes for "go on without a credential", word for word. */
const NOT_FOUND = "credentials not found in native keychain";

/** `stint credential-helper docker` (docker-credential-helpers). Errors go to standard output, where docker reads them. */
export async function run(context: Context, options: Options, operation: string): Promise<number> {
  const { out } = context.screen;
  const refuse = (why: string): number => {
    out.write(`${why}\n`);
    return EXIT.failure;
  };
  if (operation === "list") {
    out.write(`${JSON.stringify({ [options.host]: options.username ?? "x-access-token" })}\n`);
    return EXIT.ok;
  }
  const text = (await told()).trim();
  if (operation === "store") return refuse("stint makes these credentials for each use: there is nothing to store, and no login is needed");
  if (operation === "erase") return EXIT.ok;
  if (!isHost(hostOfServer(text), options.host)) return refuse(NOT_FOUND);
  try {
    out.write(await askForProgram(context, options, (view) => dockerAnswer(view, options, text)));
    return EXIT.ok;
  } catch (error) {
    fail(context.screen, error, options.grant, context.env);
    return refuse(`stint: no credential (${error instanceof Error ? error.message : "failed"})`);
  }
}

/** docker names a registry by its host, or by an old URL: `https://index.docker.io/v1/`. */
function hostOfServer(text: string): string {
  const url = text.includes("://") ? text : `https://${text}`;
  return URL.canParse(url) ? new URL(url).host : text;
}
