import { writeFile, rename, rm } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { formatDuration } from "../../domain/time.ts";
import type { CredentialView } from "../../domain/wire.ts";
import { credentialOf } from "../credential.ts";
import type { CredentialRequest } from "../broker-client.ts";
import { secretVariable, span, type Context } from "./context.ts";
import { formatCredential, type CredentialFormat } from "./credential-format.ts";
import { UsageError } from "./exit-codes.ts";
import { clean, note } from "./screen.ts";
import { clockTime } from "./times.ts";

export interface AskOptions {
  readonly ttl?: string;
  readonly scope?: readonly string[];
  readonly purpose?: string;
  readonly environment?: string;
  readonly resource?: string;
}

interface Delivery {
  readonly format?: CredentialFormat;
  readonly out?: string;
  readonly field?: string;
  readonly reveal?: boolean;
}

type Options = AskOptions & Delivery;

/** `stint request GRANT` */
export async function run(context: Context, options: Options, grant: string): Promise<number> {
  if (options.field !== undefined && options.format !== undefined) throw new UsageError("--field and --format exclude each other");
  await deliver(context, options, await ask(context, asked(grant, options)));
  return 0;
}

/** Hands a credential over: to a file, to a pipe, or to a terminal that asked for it. */
export async function deliver(context: Context, options: Delivery, view: Given): Promise<void> {
  const { token } = view.credential;
  const { out } = context.screen;
  if (token === undefined) throw new UsageError(`the issuer "${clean(view.issuer)}" gives no single token`, "Use --format json.");
  maskInLog(context, token);
  if (options.out !== undefined) {
    await writeSecret(options.out, formatCredential(options.format ?? "token", token, view.grant, view));
    return summary(context, view, `written to ${options.out}`);
  }
  if (context.screen.tty && options.reveal !== true) {
    if (options.field !== undefined && !SECRET.has(options.field)) out.write(`${fieldOf(view, options.field)}\n`);
    return summary(context, view, "not shown: --reveal prints it here, --out FILE writes it, a pipe gets it");
  }
  const text =
    options.field === undefined ? formatCredential(options.format ?? "token", token, view.grant, view) : fieldOf(view, options.field);
  out.write(context.screen.tty && !text.endsWith("\n") ? `${text}\n` : text);
  summary(context, view);
}

const SECRET = new Set(["credential", "token", "task_token"]);

/** The body of a request, with its spans checked before anything is sent. */
export function asked(grant: string, options: AskOptions): CredentialRequest {
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(grant))
    throw new UsageError(`"${clean(grant)}" is not the name of a grant`, "Names have lower-case letters, digits and dashes.");
  if (options.ttl !== undefined) span(options.ttl, "--ttl");
  const { ttl, scope, purpose, environment, resource } = options;
  const body = { ttl, scope: scope?.flatMap((one) => one.split(/[ ,]+/)).filter((one) => one !== ""), purpose, environment, resource };
  return {
    grant,
    ...(Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)) as Omit<CredentialRequest, "grant">),
  };
}

type Given = CredentialView & { readonly task_token?: string };

/** Under the task that was handed to us, or by our own identity in one trip. */
async function ask(context: Context, request: CredentialRequest): Promise<Given> {
  const taskToken = secretVariable(context.env, "STINT_TASK_TOKEN");
  const task = context.env["STINT_TASK"];
  if (taskToken !== undefined && task) return await context.broker.credential(task, taskToken, request);
  return credentialOf(request.grant, await context.broker.exchange(taskToken ?? context.identity(), request));
}

function fieldOf(view: Given, name: string): string {
  const members: Readonly<Record<string, unknown>> = { ...view, token: view.credential.token };
  if (!Object.hasOwn(members, name))
    throw new UsageError(`there is no member "${clean(name)}"`, `It has: ${Object.keys(members).join(", ")}`);
  const value = members[name];
  return typeof value === "string" ? value : JSON.stringify(value);
}

function summary({ screen, clock }: Context, view: Given, more?: string): void {
  const lives = formatDuration(Math.max(0, Math.round((Date.parse(view.expires_at) - clock()) / 1000)) * 1000);
  const kill = view.revocation.replaceAll("_", "-");
  note(
    screen,
    `${screen.errColor.green("✓")} ${clean(view.lease_id)}  ${clean(view.grant)} · ${clean(view.credential.type)} · ${lives} (limited by ${view.limited_by}) · ${kill} · dead by ${clockTime(view.dead_by, clock())}`,
  );
  if (more !== undefined) note(screen, `  ${more}`);
}

/** GitHub hides from its log what it was told of before; the command is read from the log itself, so it goes to stderr. */
function maskInLog({ env, screen }: Context, token: string): void {
  if (env["GITHUB_ACTIONS"] === "true" && !screen.errTty) screen.err.write(`::add-mask::${token}\n`);
}

/** Whole or not at all, never readable by others, never through a link that somebody put there. */
export async function writeSecret(path: string, text: string): Promise<void> {
  const beside = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await writeFile(beside, text, { mode: 0o600, flag: "wx" });
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
