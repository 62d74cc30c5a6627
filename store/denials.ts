import { bucketOfId, type DenialId } from "../domain/ids.ts";
import type { ErrorCode } from "../domain/errors.ts";
import type { DenialRecord, DenialStore } from "./api.ts";
import { evidenceArgs } from "./arguments.ts";
import { bare, placeKey, recordKey } from "./keyspace.ts";
import type { Runner } from "./run.ts";

const UNVERIFIED = `${placeKey("meta")}:unverified`;
/** Refusals of evidence that nobody vouched for are kept in one stream of about this length. */
const UNVERIFIED_KEPT = 10_000;

/** Refusals, kept for whoever must explain them. */
export function createDenialStore(runner: Runner): DenialStore {
  return {
    async record(denial, audit, retentionMs, evidence) {
      const reply = await runner.run("record-denial", bucketOfId(denial.id), {
        denial: bare(denial.id),
        subject: denial.principal?.subject ?? "",
        denial_body: JSON.stringify(denial),
        said: JSON.stringify(audit),
        retention: retentionMs,
        code: denial.view.code,
        message: denial.view.message,
        ...evidenceArgs(evidence, runner.clock.now()),
      });
      return reply === "spent" || reply === "other_key" ? reply : "recorded";
    },
    async get(id) {
      const text = await runner.ask((client) => client.get(recordKey("d", id)));
      return text === null ? findUnverified(runner, id) : readDenial(text);
    },
    async recordUnverified(batch, uncounted) {
      await runner.ask(async (client) => {
        const pipe = client.pipeline();
        for (const denial of batch)
          pipe.xadd(UNVERIFIED, "MAXLEN", "~", UNVERIFIED_KEPT, "*", "id", denial.id, "d", JSON.stringify(denial));
        if (uncounted > 0) pipe.incrby(`${UNVERIFIED}:more`, uncounted);
        for (const [error] of (await pipe.exec()) ?? []) if (error !== null) throw error;
      });
    },
  };
}

/** `code`, `message` and the record, a line each: the script that refused knows the first two better than the record does. */
function readDenial(text: string): DenialRecord {
  const [code = "", message = "", ...rest] = text.split("\n");
  const denial = JSON.parse(rest.join("\n")) as DenialRecord;
  if (denial.view.code === code) return denial;
  return { ...denial, view: { code: code as ErrorCode, message } };
}

async function findUnverified(runner: Runner, id: DenialId): Promise<DenialRecord | undefined> {
  let from = "+";
  for (;;) {
    const rows = await runner.ask((client) => client.xrevrange(UNVERIFIED, from, "-", "COUNT", 1000));
    for (const [, fields] of rows) {
      if (fields[1] === id) return JSON.parse(fields[3] ?? "") as DenialRecord;
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < 1000) return undefined;
    from = `(${last[0]}`;
  }
}
