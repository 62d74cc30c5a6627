import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { finished } from "node:stream/promises";
import type { AuditRecordView } from "../../domain/wire.ts";
import { toOcsf } from "../ocsf.ts";
import { auditQuery, type AuditFilter } from "./audit-rows.ts";
import type { Context } from "./context.ts";
import { packageVersion } from "./package-version.ts";
import { note } from "./screen.ts";
import { plural } from "./receipt.ts";

interface Options extends AuditFilter {
  readonly out?: string;
  readonly format?: (typeof FORMATS)[number];
}

/** As the records are, or as OCSF 1.8 events, which collectors of security events know. */
const FORMATS = ["stint", "ocsf"] as const;

/** `stint audit export`: pages come newest first, so all of them are fetched before the first line, the oldest, is written. */
export async function run(context: Context, options: Options): Promise<number> {
  const operator = context.operator();
  const product = { version: packageVersion(), url: context.url };
  const written = (one: AuditRecordView): object => (options.format === "ocsf" ? toOcsf(one, product) : one);
  const query = auditQuery(options, context);
  const pages: AuditRecordView[][] = [];
  let cursor: string | undefined;
  let count = 0;
  do {
    const page = await operator.audit({ ...query, limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
    pages.push(page.items.reverse());
    count += page.items.length;
    cursor = page.next_cursor ?? undefined;
    if (context.screen.errTty) context.screen.err.write(`\r\x1b[K  ${plural(count, "record")}`);
  } while (cursor !== undefined);
  if (context.screen.errTty) context.screen.err.write("\r\x1b[K");
  const to = options.out === undefined ? context.screen.out : createWriteStream(options.out, { mode: 0o600, flags: "wx" });
  for (const page of pages.reverse()) {
    for (const one of page) if (!to.write(`${JSON.stringify(written(one))}\n`)) await once(to, "drain");
  }
  if (options.out !== undefined) {
    to.end();
    await finished(to as NodeJS.WritableStream);
  }
  note(
    context.screen,
    `✓ ${plural(count, "record")}${options.out === undefined ? "" : ` in ${options.out}`}. Proof is in the audit files themselves: stint audit verify`,
  );
  return 0;
}
