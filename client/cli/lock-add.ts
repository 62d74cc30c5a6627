import type { LockBody } from "../../domain/wire.ts";
import { span, type Context } from "./context.ts";
import { defined, exactlyOne } from "./options.ts";
import { selectorText } from "./revocation-progress.ts";
import { note } from "./screen.ts";
import { clockTime } from "./times.ts";

interface Options {
  readonly workload?: string;
  readonly trust?: string;
  readonly grant?: string;
  readonly issuer?: string;
  readonly all?: true;
  readonly ttl: string;
  readonly reason: string;
  readonly message?: string;
}

/** `stint lock add` */
export async function run(context: Context, options: Options): Promise<number> {
  const kind = exactlyOne(options, ["workload", "trust", "grant", "issuer", "all"]);
  span(options.ttl, "--ttl");
  const selector: LockBody["selector"] = { [kind]: options[kind] };
  const lock = await context
    .operator()
    .lock({ selector, ttl: options.ttl, reason: options.reason, ...defined({ message: options.message }) });
  context.screen.out.write(`${lock.id}\n`);
  note(
    context.screen,
    `${context.screen.errColor.green("✓")} ${selectorText(lock.selector)} gets nothing new until ${clockTime(lock.until, context.clock())}. What is out already lives on: stint revoke ends it.`,
  );
  return 0;
}
