import { formatDuration } from "../../domain/time.ts";
import type { CredentialView } from "../../domain/wire.ts";
import { askOnce } from "../ask.ts";
import type { CredentialRequest } from "../broker-client.ts";
import { renderCredential, usualFormat, type CredentialFormat } from "../deliver/formats.ts";
import { sshFiles } from "../deliver/keys.ts";
import type { Place } from "../deliver/login.ts";
import { isSecret, keptItsValue, named, secretsOf } from "../deliver/material.ts";
import { writePrivateFile } from "../deliver/private-file.ts";
import { asked, issuerOptions, type AskOptions } from "./asked.ts";
import { secretVariable, type Context } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { orGiveBack } from "./give-back.ts";
import { clean, note } from "./screen.ts";
import { clockTime } from "./times.ts";

interface Delivery extends Place {
  readonly format?: CredentialFormat;
  readonly out?: string;
  readonly field?: string;
  readonly reveal?: boolean;
}

interface Options extends AskOptions, Delivery {
  readonly option?: readonly string[];
}

/** `stint request GRANT` */
export async function run(context: Context, options: Options, grant: string): Promise<number> {
  if (options.field !== undefined && options.format !== undefined) throw new UsageError("--field and --format exclude each other");
  if (options.format === "ssh" && options.out === undefined)
    throw new UsageError("--format ssh writes two files", "Give --out FILE: the certificate goes beside it, to FILE-cert.pub.");
  const view = await ask(context, asked(grant, options, await issuerOptions(options.option)));
  await orGiveBack(context, view, (made) => deliver(context, options, made));
  return 0;
}

/** Hands a credential over: to a file, to a pipe, or to a terminal that asked for it. */
export async function deliver(context: Context, options: Delivery, view: Given): Promise<void> {
  const { out } = context.screen;
  if (keptItsValue(view.credential)) return summary(context, view, "it keeps its value; only its end has moved");
  maskInLog(context, secretsOf(view.credential));
  const open = context.screen.tty && options.reveal !== true && options.out === undefined;
  if (open && (options.field === undefined || hides(view, options.field)))
    return summary(context, view, "not shown: --reveal prints it here, --out FILE writes it, a pipe gets it");
  const text =
    options.field === undefined ? renderCredential(options.format ?? usualFormat(view), view, options) : fieldOf(view, options.field);
  if (options.out !== undefined) {
    if (options.format === "ssh") await writePrivateFile(`${options.out}-cert.pub`, sshFiles(view).certificate);
    await writePrivateFile(options.out, text);
    return summary(context, view, `written to ${options.out}${options.format === "ssh" ? ` and ${options.out}-cert.pub` : ""}`);
  }
  out.write(context.screen.tty && !text.endsWith("\n") ? `${text}\n` : text);
  summary(context, view);
}

export type Given = CredentialView & { readonly task_token?: string };

/** Under the task that was handed to us, or by our own identity. */
export async function ask(context: Context, request: CredentialRequest): Promise<Given> {
  const taskToken = secretVariable(context.env, "STINT_TASK_TOKEN");
  const task = context.env["STINT_TASK"];
  if (taskToken !== undefined && task) return await context.broker.credential(task, taskToken, request);
  return await askOnce(context.broker, taskToken ?? context.identity(), request);
}

/** Members of the answer and of the credential in it, side by side; the answer's come first. */
const membersOf = (view: Given): Readonly<Record<string, unknown>> => ({ ...view.credential, ...view });

function hides(view: Given, name: string): boolean {
  if (name === "credential" || name === "task_token") return true;
  return !Object.hasOwn(view, name) && isSecret(view.credential, name);
}

function fieldOf(view: Given, name: string): string {
  const members = membersOf(view);
  if (!Object.hasOwn(members, name))
    throw new UsageError(`there is no member "${clean(name)}"`, `It has: ${Object.keys(members).map(clean).join(", ")}`);
  const value = members[name];
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What it is, until when, and how it dies: for people. */
export function summaryLine({ screen, clock }: Context, view: CredentialView): string {
  const lives = formatDuration(Math.max(0, Math.round((Date.parse(view.expires_at) - clock()) / 1000)) * 1000);
  const kill = view.revocation.replaceAll("_", "-");
  return `${screen.errColor.green("✓")} ${clean(view.lease_id)}  ${clean(view.grant)} · ${named(view.credential)} · ${lives} (limited by ${view.limited_by}) · ${kill} · dead by ${clockTime(view.dead_by, clock())}`;
}

function summary(context: Context, view: Given, more?: string): void {
  note(context.screen, summaryLine(context, view));
  if (more !== undefined) note(context.screen, `  ${more}`);
}

/** GitHub hides from its log what it was told of before, line by line; the command is read from the log itself, so it goes to stderr. */
export function maskInLog({ env, screen }: Pick<Context, "env" | "screen">, secrets: readonly string[]): void {
  if (env["GITHUB_ACTIONS"] !== "true" || screen.errTty) return;
  for (const secret of secrets) if (!/[\r\n]/.test(secret)) screen.err.write(`::add-mask::${secret}\n`);
}
