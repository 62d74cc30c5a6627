import { readFile } from "node:fs/promises";
import { formatDuration } from "../../domain/time.ts";
import type { CheckView } from "../../domain/wire.ts";
import { errorFromAnswer, systemCode } from "../errors.ts";
import { secretVariable, type Context } from "./context.ts";
import { EXIT, exitCodeOf, UsageError } from "./exit-codes.ts";
import { fail } from "./fail.ts";
import { printRecord, type Machine } from "./output.ts";
import { asked } from "./asked.ts";

interface Options extends Machine {
  readonly asClaims?: string;
  readonly trust?: string;
  readonly quiet?: boolean;
}

/** `stint can-i GRANT`: 0 when it would be given, else what a request would exit with. */
export async function run(context: Context, options: Options, grant: string): Promise<number> {
  const answer = await check(context, options, asked(grant, {}).grant);
  const refused = answer.allowed ? undefined : refusalOf(answer);
  const code = refused === undefined ? EXIT.ok : exitCodeOf(refused);
  if (options.quiet === true) return code;
  if (options.json !== undefined) printRecord(context.screen, { schema: "decision/v1", item: answer, rows: [] }, options);
  else if (refused !== undefined) return fail(context.screen, refused, grant);
  else
    context.screen.out.write(
      `yes${answer.expires_in === null ? "" : `, for ${formatDuration(answer.expires_in * 1000)} (limited by ${answer.limited_by ?? "grant"})`}\n`,
    );
  return code;
}

async function check(context: Context, options: Options, grant: string): Promise<CheckView> {
  if (options.asClaims === undefined) {
    if (options.trust !== undefined) throw new UsageError("--trust goes with --as-claims");
    const taskToken = secretVariable(context.env, "STINT_TASK_TOKEN");
    return await context.broker.check(taskToken ?? context.identity(), { grant });
  }
  if (options.trust === undefined) throw new UsageError("--as-claims needs --trust", "Name the trust that would vouch for these claims.");
  return await context.operator().check({ grant, trust: options.trust, claims: await readClaims(options.asClaims) });
}

/** Claims as a JSON object in a file. */
export async function readClaims(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new UsageError(`${path} cannot be read (${systemCode(error) ?? "unreadable"})`);
  });
  let claims: unknown;
  try {
    claims = JSON.parse(text);
  } catch {
    throw new UsageError(`${path} is not JSON`);
  }
  if (typeof claims !== "object" || claims === null || Array.isArray(claims))
    throw new UsageError(`${path} does not hold an object of claims`);
  return { ...claims };
}

/** A refusal as the request itself would have met it. */
function refusalOf(answer: CheckView): Error {
  const { code, message, hint } = answer;
  const nearest = answer.trace?.rules.find((rule) => rule.rule === answer.trace?.nearest?.rule);
  const failed_claims = answer.failed_claims ?? nearest?.conditions.filter((one) => !one.held).map((one) => one.condition);
  return errorFromAnswer(403, { code: code ?? "not_permitted", detail: message ?? undefined, failed_claims, hint }, undefined);
}
