import type { FindingsView } from "../../domain/wire.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit-codes.ts";
import { printRecord, type Machine } from "./output.ts";

interface Options extends Machine {
  readonly dryRun?: boolean;
  readonly reason?: string;
}

/** Leases that are named here; `--json` has more. */
const NAMED = 5;

/** `stint target reconcile TARGET [--dry-run]`: fails when an orphan could not be ended. */
export async function run(context: Context, options: Options, target: string): Promise<number> {
  const reason = options.reason === undefined ? {} : { reason: options.reason };
  const findings = await context.operator().reconcileTarget(target, { ...reason, ...(options.dryRun === true ? { dry_run: true } : {}) });
  printRecord(context.screen, { schema: "findings/v1", item: findings, rows: rowsOf(findings, context) }, options);
  return findings.failed > 0 ? EXIT.partial : EXIT.ok;
}

function rowsOf(findings: FindingsView, { screen }: Context): (readonly [string, string])[] {
  const { mode, seen, orphaned, orphans, missed, missing, failed } = findings;
  const would = mode === "shown" ? "would be ended" : "ended";
  const named = (count: number, ids: readonly string[]): string =>
    count === 0 ? "none" : `${count} ${would}: ${ids.slice(0, NAMED).join(" ")}${count > NAMED ? ` and ${count - NAMED} more` : ""}`;
  return [
    ["there", `${seen} of ours`],
    ["orphans", named(orphaned, orphans)],
    ["missing", named(missed, missing)],
    ...(failed > 0 ? [["failed", screen.color.red(`${failed} could not be ended; they are tried again`)] as const] : []),
  ];
}
