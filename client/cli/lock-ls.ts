import type { LockView } from "../../domain/wire.ts";
import type { Context } from "./context.ts";
import { printList, type Machine } from "./output.ts";
import { selectorText } from "./revocation-progress.ts";
import { relative } from "./times.ts";

/** `stint lock ls` */
export async function run(context: Context, options: Machine): Promise<number> {
  const operator = context.operator();
  const items: LockView[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof operator.locks>> = await operator.locks(cursor === null ? {} : { cursor });
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  const now = context.clock();
  await printList(
    context.screen,
    {
      schema: "lock/v1",
      items,
      empty: "Nothing is locked.",
      columns: [
        { title: "lock", whole: true, value: (one) => one.id },
        { title: "refuses", value: (one) => selectorText(one.selector) },
        { title: "until", value: (one) => one.until, show: (one) => relative(one.until, now) },
        { title: "by", value: (one) => one.by },
        { title: "reason", value: (one) => one.reason },
        { title: "message", optional: 1, value: (one) => one.message ?? "" },
      ],
    },
    options,
  );
  return 0;
}
