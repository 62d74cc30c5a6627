import { auditColumns, auditQuery, type AuditFilter } from "./audit-rows.ts";
import type { Context } from "./context.ts";
import { defined, pageLimit } from "./options.ts";
import { printList, type Machine } from "./output.ts";

interface Options extends Machine, AuditFilter {
  readonly limit: string;
  readonly cursor?: string;
}

/** `stint audit query` */
export async function run(context: Context, options: Options): Promise<number> {
  const query = { ...auditQuery(options, context), ...defined({ cursor: options.cursor }), limit: pageLimit(options.limit) };
  const page = await context.operator().audit(query);
  const columns = auditColumns(context.screen, context.clock());
  await printList(
    context.screen,
    { schema: "audit/v1", items: page.items, columns, empty: "No record matches.", nextCursor: page.next_cursor },
    options,
  );
  return 0;
}
