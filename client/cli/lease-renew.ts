import { IdentityError } from "../errors.ts";
import { secretVariable, span, type Context } from "./context.ts";
import { deliver } from "./request.ts";
import { defined } from "./options.ts";

interface Options {
  readonly ttl?: string;
  readonly out?: string;
  readonly reveal?: boolean;
}

/** `stint lease renew LEASE` */
export async function run(context: Context, options: Options, id: string): Promise<number> {
  if (options.ttl !== undefined) span(options.ttl, "--ttl");
  const taskToken = secretVariable(context.env, "STINT_TASK_TOKEN");
  if (taskToken === undefined) {
    throw new IdentityError("renewing needs the task token", {
      code: "no_task_token",
      body: { hint: "Set STINT_TASK_TOKEN_FILE. `stint request GRANT --format json` shows the token beside the credential." },
    });
  }
  await deliver(context, options, await context.broker.renew(id, taskToken, defined({ ttl: options.ttl })));
  return 0;
}
