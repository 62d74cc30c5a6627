import { isId } from "../../domain/ids.ts";
import type { RevocationBody, RevocationPlanView, RevocationView } from "../../domain/wire.ts";
import { BrokerError, UnreachableError } from "../errors.ts";
import type { OperatorClient } from "../operator-client.ts";
import { span, type Context } from "./context.ts";
import { credentialHash } from "./credential-input.ts";
import { CancelledError, EXIT, UsageError } from "./exit-codes.ts";
import { defined, exactlyOne } from "./options.ts";
import { printJson, type Machine } from "./output.ts";
import { plural } from "./receipt.ts";
import { follow, report, selectorText } from "./revocation-progress.ts";
import { clean, note } from "./screen.ts";
import { clockTime } from "./times.ts";

interface Options extends Machine {
  readonly lease?: string;
  readonly task?: string;
  readonly workload?: string;
  readonly grant?: string;
  readonly issuer?: string;
  readonly trust?: string;
  readonly credential?: string;
  readonly credentialSha256?: string;
  readonly all?: true;
  readonly lock?: string;
  readonly reason?: string;
  readonly dryRun?: boolean;
  readonly confirm?: string;
  readonly wait: boolean;
}

const SELECTORS = ["lease", "task", "workload", "grant", "issuer", "trust", "credential", "credentialSha256", "all"] as const;

/** `stint revoke`: shows what would end, asks for the count, ends it, and says what is really dead. */
export async function run(context: Context, options: Options): Promise<number> {
  const selector = await selectorOf(options);
  if (options.lock !== undefined) span(options.lock, "--lock");
  if (options.confirm !== undefined && !/^\d{1,9}$/.test(options.confirm))
    throw new UsageError(`--confirm: "${options.confirm}" is not a number of leases`);
  if (options.all === true && options.reason === undefined) throw new UsageError("--all needs --reason");
  const operator = context.operator();
  const plan = await operator.plan(selector, options.reason ?? "dry run");
  if (options.json === undefined || options.dryRun !== true) show(context, plan, options);
  if (options.dryRun === true) {
    if (options.json !== undefined) printJson(context.screen, { schema: "revocation-plan/v1", ...plan });
    return EXIT.ok;
  }
  await confirm(context, options, plan);
  const body: RevocationBody = { selector, reason: options.reason ?? "revoked by an operator", ...defined({ lock: options.lock }) };
  const job = await start(operator, body);
  const code = options.wait ? await follow(context, operator, job) : report(context, job);
  if (options.json !== undefined) printJson(context.screen, { schema: "revocation/v1", ...(await operator.revocation(job.id)) });
  return code;
}

async function selectorOf(options: Options): Promise<RevocationBody["selector"]> {
  const kind = exactlyOne(options, SELECTORS);
  if (kind === "credential" || kind === "credentialSha256")
    return { credential: `sha256:${await credentialHash(options.credential, options.credentialSha256)}` };
  if (kind === "all") return { all: true };
  const name = String(options[kind] ?? "");
  if (kind === "lease" || kind === "task") {
    if (!isId(kind, name)) throw new UsageError(`"${clean(name)}" is not the id of a ${kind}`);
  } else if (name === "") throw new UsageError(`--${kind} is empty`);
  return { [kind]: name };
}

/** A revocation that is still being written is one: it goes on, and is followed by its id. */
async function start(operator: OperatorClient, body: RevocationBody): Promise<RevocationView> {
  try {
    return await operator.revoke(body);
  } catch (error) {
    const id = error instanceof UnreachableError && error.code === "revocation_pending" ? error.body.revocation_id : undefined;
    if (typeof id !== "string") throw error;
    return await operator.revocation(id).catch((later: unknown) => {
      throw later instanceof BrokerError ? error : later;
    });
  }
}

const HOW = {
  immediate: "die at their target as soon as it confirms",
  verifier_checked: "refused by registered verifiers at once",
  expiry_only: "cannot be called back from verifiers that do not ask: the last dies at ",
} as const;

function show({ screen, clock }: Context, plan: RevocationPlanView, options: Options): void {
  const now = clock();
  const workloads = new Set(plan.leases.map((lease) => lease.workload));
  note(
    screen,
    `  ${selectorText(plan.selector)}: ${plural(plan.matched, "live lease")} · ${plural(plan.tasks, "task")} · ${plural(workloads.size, "workload")}`,
  );
  for (const { issuer, leases, revocation, dead_by } of plan.by_issuer) {
    const mark = revocation === "expiry_only" ? screen.errColor.yellow("!") : " ";
    note(
      screen,
      `  ${mark} ${clean(issuer).padEnd(12)} ${String(leases).padStart(6)}  ${HOW[revocation]}${revocation === "expiry_only" ? clockTime(dead_by, now) : ""}`,
    );
  }
  if (plan.truncated) note(screen, "  and more: the count stops here, the revocation does not");
  if (options.lock === undefined && !("lease" in plan.selector) && !("task" in plan.selector))
    note(screen, "  Without --lock whoever held these may ask again at once.");
}

/** One lease needs no count. Many do: typed, or given with --confirm. */
async function confirm(context: Context, options: Options, plan: RevocationPlanView): Promise<void> {
  if (options.confirm !== undefined) {
    if (Number(options.confirm) === plan.matched) return;
    throw new UsageError(
      `--confirm ${options.confirm}, but ${plural(plan.matched, "lease")} match`,
      "Look at --dry-run again. Nothing was revoked.",
    );
  }
  if (plan.matched <= 1 && options.all !== true) return;
  if (!context.screen.interactive)
    throw new UsageError(
      `${plural(plan.matched, "lease")} would end, and nobody can be asked`,
      `Say --confirm ${plan.matched}. Nothing was revoked.`,
    );
  const { text, isCancel } = await import("@clack/prompts");
  const typed = await text({
    message: `Type ${plan.matched} to revoke${options.lock === undefined ? "" : " and lock"}`,
    output: process.stderr,
  });
  if (isCancel(typed) || typed.trim() !== String(plan.matched)) throw new CancelledError("nothing was revoked");
}
