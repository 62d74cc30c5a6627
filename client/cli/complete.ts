import type { ReceiptView } from "../../domain/wire.ts";
import { unverifiedClaims } from "../claims.ts";
import { GoneError } from "../errors.ts";
import type { TaskOutcome } from "../task.ts";
import { secretVariable, type Context } from "./context.ts";
import { EXIT, UsageError } from "./exit-codes.ts";
import { printRecord, type Machine } from "./output.ts";
import { fateOf, receiptLine } from "./receipt.ts";
import { clean, note } from "./screen.ts";

interface Options extends Machine {
  readonly outcome: TaskOutcome;
}

/** `stint complete [TASK]` */
export async function run(context: Context, options: Options, named?: string): Promise<number> {
  const { env, screen, broker } = context;
  const taskToken = secretVariable(env, "STINT_TASK_TOKEN");
  const id = named ?? env["STINT_TASK"] ?? (taskToken === undefined ? undefined : taskOf(taskToken));
  if (taskToken !== undefined) {
    if (id === undefined) throw new UsageError("which task?", "Name it, or set STINT_TASK.");
    return show(context, options, await broker.complete(id, taskToken, { outcome: options.outcome }));
  }
  const identity = context.identity();
  try {
    const opened = await broker.openTask(identity, {});
    if (named !== undefined && named !== opened.task)
      throw new UsageError(
        `${clean(named)} is not the task of this ${identity.source} run`,
        "Set STINT_TASK_TOKEN_FILE to complete another.",
      );
    const receipt = await broker.complete(opened.task, opened.task_token, { outcome: options.outcome });
    if (opened.joined) return show(context, options, receipt);
    // Asking for it opened it: nothing was issued to this run.
    note(screen, "✓ there was no open task of this run; nothing was issued to it");
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof GoneError) || error.code !== "task_ended") throw error;
    note(screen, `✓ the task of this run has already ended`);
    return EXIT.ok;
  }
}

function show({ screen, clock }: Context, options: Options, receipt: ReceiptView): number {
  if (options.json !== undefined) {
    printRecord(screen, { schema: "receipt/v1", item: receipt, rows: [] }, options);
  } else {
    for (const lease of receipt.leases)
      screen.out.write(`${[lease.lease_id, lease.issuer, lease.outcome, lease.revocation, lease.dead_by ?? ""].map(clean).join("\t")}\n`);
  }
  note(screen, receiptLine(receipt, clock(), screen));
  const waiting = receipt.leases.filter((lease) => ["open", "stuck"].includes(fateOf(lease, clock())));
  return receipt.settled && waiting.length === 0 ? EXIT.ok : EXIT.partial;
}

/** The task that a task token is for, by its own word; the broker checks it. */
function taskOf(token: string): string | undefined {
  const claims = unverifiedClaims(token);
  const id = claims?.["task_id"] ?? claims?.["task"] ?? claims?.["jti"];
  return typeof id === "string" && id.startsWith("task_") ? id : undefined;
}
