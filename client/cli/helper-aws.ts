import { awsProcess } from "../deliver/aws.ts";
import type { Context } from "./context.ts";
import { askForProgram, type HelperOptions } from "./helper-ask.ts";

/** `stint credential-helper aws`: a `credential_process`. The SDKs keep the answer until shortly before it expires. */
export async function run(context: Context, options: HelperOptions): Promise<number> {
  context.screen.out.write(await askForProgram(context, options, awsProcess));
  return 0;
}
