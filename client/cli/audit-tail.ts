import { setTimeout as sleep } from "node:timers/promises";
import type { AuditRecordView } from "../../domain/wire.ts";
import { UnreachableError } from "../errors.ts";
import { auditColumns, auditLine, auditQuery, recordKey, type AuditFilter } from "./audit-rows.ts";
import type { Context } from "./context.ts";
import { pageLimit } from "./options.ts";
import { clean, note } from "./screen.ts";

interface Options extends AuditFilter {
  readonly follow?: boolean;
  readonly lines: string;
  readonly json?: string;
}

const POLL_MS = 1000;
/** Records of different buckets are exported a little out of order: look back so far for late ones. */
const OVERLAP_MS = 30_000;

/** `stint audit tail [-f]` */
export async function run(context: Context, options: Options): Promise<number> {
  const { screen, clock } = context;
  const operator = context.operator();
  const query = auditQuery(options, context);
  const columns = auditColumns(screen, clock());
  const seen = new Set<string>();
  const print = (records: readonly AuditRecordView[]): void => {
    for (const one of [...records].sort(byTime)) {
      if (seen.has(recordKey(one))) continue;
      seen.add(recordKey(one));
      if (options.json !== undefined) screen.out.write(`${JSON.stringify(one)}\n`);
      else
        screen.out.write(
          `${screen.tty ? auditLine(one, screen, clock()) : columns.map((column) => clean(column.value(one))).join("\t")}\n`,
        );
    }
  };
  print((await operator.audit({ ...query, limit: pageLimit(options.lines, "--lines") })).items);
  while (options.follow === true) {
    await sleep(POLL_MS);
    try {
      const since = new Date(clock() - OVERLAP_MS).toISOString();
      print(await recent(since));
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error;
      note(screen, `! ${clean(error.message)}; still trying`);
    }
  }
  return 0;

  async function recent(since: string): Promise<AuditRecordView[]> {
    const records: AuditRecordView[] = [];
    let cursor: string | undefined;
    do {
      const page = await operator.audit({ ...query, since, limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
      records.push(...page.items);
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined && records.some((one) => !seen.has(recordKey(one))) && records.length < 10_000);
    return records;
  }
}

const byTime = (a: AuditRecordView, b: AuditRecordView): number =>
  a.at === b.at ? a.bucket - b.bucket || a.seq - b.seq : a.at < b.at ? -1 : 1;
