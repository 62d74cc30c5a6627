import { secretVariable, type Context } from "./context.ts";
import { leaseRows } from "./lease-rows.ts";
import { printRecord, type Machine } from "./output.ts";

/** `stint lease inspect LEASE`: as an operator, or as the task it belongs to. */
export async function run(context: Context, options: Machine, id: string): Promise<number> {
  const taskToken = secretVariable(context.env, "STINT_TASK_TOKEN");
  const lease =
    context.hasOperatorToken() || taskToken === undefined ? await context.operator().lease(id) : await context.broker.lease(id, taskToken);
  printRecord(context.screen, { schema: "lease/v1", item: lease, rows: leaseRows(lease, context.screen, context.clock()) }, options);
  return 0;
}
