import { gitAnswer, hostOf } from "../deliver/login.ts";
import { UnsuitableError } from "../deliver/unsuitable.ts";
import type { Context } from "./context.ts";
import { fail } from "./fail.ts";
import { askForProgram, isHost, told, type HelperOptions } from "./helper-ask.ts";

interface Options extends HelperOptions {
  readonly host: string;
  readonly username?: string;
}

/**
 * `stint credential-helper git` (git-credential, gitcredentials). Nothing is kept, so there is nothing to store or to erase. Where
 * another host is meant it says nothing, and git asks its next helper; where it fails it tells git to stop asking.
 */
export async function run(context: Context, options: Options, operation: string): Promise<number> {
  const wanted = membersOf(await told());
  if (operation !== "get" || wanted.get("protocol") !== "https" || !isHost(wanted.get("host") ?? "", options.host)) return 0;
  try {
    const answer = await askForProgram(context, options, (view) => {
      const own = hostOf(view.credential);
      if (own !== undefined && !isHost(own, options.host)) throw new UnsuitableError(`the token is for ${own}, not for ${options.host}`);
      return gitAnswer(view, options);
    });
    context.screen.out.write(answer);
    return 0;
  } catch (error) {
    const code = fail(context.screen, error, options.grant, context.env);
    context.screen.out.write("quit=true\n");
    return code;
  }
}

/** Lines of `name=value` up to the first empty one. */
function membersOf(text: string): ReadonlyMap<string, string> {
  const [head = ""] = text.split(/\r?\n\r?\n/, 1);
  return new Map(
    head.split(/\r?\n/).flatMap((line) => {
      const cut = line.indexOf("=");
      return cut === -1 ? [] : [[line.slice(0, cut), line.slice(cut + 1)] as const];
    }),
  );
}
