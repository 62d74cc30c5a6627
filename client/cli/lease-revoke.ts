import { secretVariable, type Context } from "./context.ts";
import { isId } from "../../domain/ids.ts";
import { EXIT, UsageError } from "./exit-codes.ts";
import { fateOf, receiptLine } from "./receipt.ts";
import { follow } from "./revocation-progress.ts";
import { clean, note } from "./screen.ts";

/** `stint lease revoke LEASE`: an operator ends anybody's; a holder gives its own back. */
export async function run(context: Context, options: { readonly reason?: string }, id: string): Promise<number> {
  if (!isId("lease", id)) throw new UsageError(`"${clean(id)}" is not the id of a lease`);
  const { screen, clock } = context;
  const taskToken = secretVariable(context.env, "STINT_TASK_TOKEN");
  if (context.hasOperatorToken() || taskToken === undefined) {
    const operator = context.operator();
    return await follow(
      context,
      operator,
      await operator.revoke({ selector: { lease: id }, reason: options.reason ?? "ended by an operator" }),
    );
  }
  const { receipt } = await context.broker.release(id, taskToken);
  note(screen, receiptLine({ ended_by: "released", settled: true, leases: [receipt], dead_by: receipt.dead_by, more: 0 }, clock(), screen));
  return fateOf(receipt, clock()) === "dead" ? EXIT.ok : EXIT.partial;
}
