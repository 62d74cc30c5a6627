import type { LeaseQuery, LeaseView } from "../../domain/wire.ts";
import type { Context } from "./context.ts";
import { span } from "./context.ts";
import { credentialHash } from "./credential-input.ts";
import { leaseColumns } from "./lease-rows.ts";
import { defined, pageLimit } from "./options.ts";
import { printList, type Machine } from "./output.ts";

interface Options extends Machine {
  readonly workload?: string;
  readonly task?: LeaseView["task"];
  readonly grant?: string;
  readonly issuer?: string;
  readonly trust?: string;
  readonly state?: LeaseView["state"];
  readonly credential?: string;
  readonly credentialSha256?: string;
  readonly expiring?: string;
  readonly limit: string;
  readonly cursor?: string;
}

/** `stint lease ls`: pages are followed until the limit is reached, for a page may be short. */
export async function run(context: Context, options: Options): Promise<number> {
  const limit = pageLimit(options.limit);
  const { workload, task, grant, issuer, trust, state } = options;
  const within = options.expiring === undefined ? undefined : context.clock() + span(options.expiring, "--expiring");
  const sha256 =
    options.credential === undefined && options.credentialSha256 === undefined
      ? undefined
      : await credentialHash(options.credential, options.credentialSha256);
  const operator = context.operator();
  const met = new Map<string, LeaseView>();
  let cursor = options.cursor;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const query: LeaseQuery = defined({
      workload,
      task,
      grant,
      issuer,
      trust,
      state,
      credential_sha256: sha256,
      cursor,
      limit: limit - met.size,
    });
    const answer = await operator.leases(query);
    // an index that changes while it is read may show a lease on two pages; it is one, as it was shown last
    for (const lease of answer.items)
      if (within === undefined || (lease.ended_at === null && Date.parse(lease.expires_at) <= within)) met.set(lease.id, lease);
    cursor = answer.next_cursor ?? undefined;
    if (cursor === undefined || met.size >= limit) break;
  }
  await printList(
    context.screen,
    {
      schema: "lease/v1",
      items: [...met.values()],
      columns: leaseColumns(context.screen, context.clock()),
      empty: "No lease matches.",
      nextCursor: cursor ?? null,
    },
    options,
  );
  return 0;
}

/** A filter that matches little makes many short pages; beyond these the cursor is handed out. */
const MOST_PAGES = 50;
