import { asked, issuerOptions, type AskOptions } from "./asked.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { ask, type Given } from "./request.ts";

export interface HelperOptions extends AskOptions {
  readonly grant: string;
  readonly option?: readonly string[];
}

/** The credential for a program that called us. People on a terminal are sent to what is for them. */
export async function askForProgram(context: Context, options: HelperOptions): Promise<Given> {
  if (context.screen.tty)
    throw new UsageError(
      "this answers a program: it would show the credential on your terminal",
      "stint request --help shows what people use.",
    );
  return await ask(context, asked(options.grant, options, await issuerOptions(options.option)));
}

/** What a program that calls a helper writes to it at most, in characters. */
const LONGEST = 65_536;

/** All of standard input. */
export async function told(): Promise<string> {
  let text = "";
  for await (const chunk of process.stdin) {
    text += String(chunk);
    if (text.length > LONGEST) throw new UsageError("the program that called wrote more than a helper is told");
  }
  return text;
}

/** Whether what a program asks for is at the host that this helper answers for. Names fold, ports do not. */
export const isHost = (asked: string, ours: string): boolean => asked.toLowerCase() === ours.toLowerCase();
