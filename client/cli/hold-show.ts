import { formatDuration } from "../../domain/time.ts";
import type { HoldView } from "../../domain/wire.ts";
import type { Context } from "./context.ts";
import { printRecord, type Machine } from "./output.ts";
import { clean } from "./screen.ts";
import { clockTime } from "./times.ts";

/** `stint hold show` */
export async function run(context: Context, options: Machine): Promise<number> {
  const hold = await context.operator().hold();
  printRecord(context.screen, { schema: "hold/v1", item: hold, rows: holdRows(hold, context) }, options);
  return 0;
}

function holdRows(hold: HoldView, { screen, clock }: Context): (readonly [string, string])[] {
  const now = clock();
  const rows: (readonly [string, string])[] = [
    ["hold", hold.held ? screen.color.red("on hold: nothing is issued, nothing is revoked at targets") : "no"],
  ];
  if (hold.held)
    rows.push(
      ["since", clockTime(hold.since, now)],
      ["why", clean(hold.reason ?? "not said")],
      ["waiting", `${hold.waiting.length} revocations at targets`],
    );
  if (hold.clock_ahead_ms !== null) rows.push(["clock", `a mark lies ${formatDuration(hold.clock_ahead_ms)} ahead of now`]);
  if (hold.held)
    rows.push([
      "next",
      "See what would be ended with `stint target ls`; then stint target reconcile TARGET for each, or: stint hold clear --reason WHY",
    ]);
  return rows;
}
