import { asked, issuerOptions, type AskOptions } from "./asked.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { orGiveBack } from "./give-back.ts";
import { ask, type Given } from "./request.ts";

export interface HelperOptions extends AskOptions {
  readonly grant: string;
  readonly option?: readonly string[];
}

/**
 * The credential for a program that called us, in the words it reads. People on a terminal are sent to what is for them. What cannot
 * be put so is given back.
 */
export async function askForProgram(context: Context, options: HelperOptions, inWords: (view: Given) => string): Promise<string> {
  if (context.screen.tty)
    throw new UsageError(
      "this answers a program: it would show the credential on your terminal",
      "stint request --help shows what people use.",
    );
  return await orGiveBack(context, await ask(context, asked(options.grant, options, await issuerOptions(options.option))), inWords);
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
