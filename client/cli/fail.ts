import { BrokerError, DeniedError, GoneError, IdentityError, InvalidRequestError, LockedError, UnreachableError } from "../errors.ts";
import { UnsuitableError } from "../deliver/unsuitable.ts";
import type { Environment } from "../identity/source.ts";
import { CancelledError, exitCodeOf, UsageError } from "./exit-codes.ts";
import { clean, type Screen } from "./screen.ts";

interface Story {
  readonly what: string;
  readonly why?: string | undefined;
  readonly yours?: string | undefined;
  readonly next?: string | undefined;
}

/** Says what failed, why, and what would help; answers the exit code. `about` is what was asked for, for example the grant. */
export function fail(screen: Screen, error: unknown, about = "", env: Environment = {}): number {
  const exit = exitCodeOf(error);
  const story = tell(error, about);
  const { errColor: color } = screen;
  const head = `${color.red("✗")} ${clean(story.what)}`;
  const code = color.dim(`exit ${exit}`);
  screen.err.write(screen.errTty ? `${head}${" ".repeat(Math.max(2, 76 - story.what.length))}${code}\n` : `${head}\n`);
  for (const [label, text] of [
    ["why", story.why],
    ["yours", story.yours],
    ["next", story.next],
  ] as const) {
    if (text) screen.err.write(`  ${color.dim(label.padEnd(5))} ${clean(text)}\n`);
  }
  if (env["GITHUB_ACTIONS"] === "true") screen.err.write(annotation(story));
  if (env["STINT_DEBUG"] && error instanceof Error) screen.err.write(`${color.dim(clean(debugText(error)))}\n`);
  return exit;
}

/** The causes, by name and code only: their text may hold what nobody vouched for. */
function debugText(error: Error): string {
  const names: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) names.push("code" in at ? `${at.name}(${String(at.code)})` : at.name);
  return names.join(" <- ");
}

function tell(error: unknown, about: string): Story {
  const on = about === "" ? "" : `: ${about}`;
  if (error instanceof UsageError || error instanceof UnsuitableError) return { what: error.message, next: error.next };
  if (error instanceof CancelledError) return { what: error.message };
  if (error instanceof DeniedError)
    return { what: `denied${on} (${error.code})`, why: whyDenied(error), yours: yoursOf(error), next: nextStep(error) };
  if (error instanceof LockedError) return { what: `locked${on} (${error.code})`, why: error.message, next: nextStep(error) };
  if (error instanceof IdentityError)
    return { what: `no accepted identity${on} (${error.code})`, why: error.message, next: nextStep(error) };
  if (error instanceof UnreachableError)
    return {
      what: `broker not available${on} (${error.code})`,
      why: error.message,
      next: nextStep(error) ?? "Nothing was decided; it is safe to try again.",
    };
  if (error instanceof GoneError)
    return {
      what: `${error.code === "not_found" ? "not found" : "already ended"}${on} (${error.code})`,
      why: error.message,
      next: nextStep(error),
    };
  if (error instanceof InvalidRequestError)
    return { what: `the broker refused the request${on} (${error.code})`, why: details(error), next: nextStep(error) };
  if (error instanceof BrokerError)
    return { what: `failed${on} (${error.code})`, why: error.message, next: nextStep(error) ?? traceOf(error) };
  const system = error instanceof Error && "code" in error && typeof error.code === "string";
  return {
    what: system ? error.message : `unexpected: ${error instanceof Error ? error.message : "unknown error"}`,
    next: system ? undefined : "This is a mistake in stint; STINT_DEBUG=1 says more.",
  };
}

function whyDenied(error: DeniedError): string {
  const failed = error.failedClaims;
  return failed.length > 0 ? `the rules for this grant were not met by: ${failed.join(", ")}` : error.message;
}

function yoursOf(error: DeniedError): string | undefined {
  const entries = Object.entries(error.yours);
  if (entries.length === 0) return undefined;
  return entries
    .map(([name, value]) => `${name}=${value == null ? "(absent)" : typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("  ");
}

function nextStep(error: BrokerError): string | undefined {
  const wait = error.retryAfterMs === undefined ? undefined : `Try again in ${Math.ceil(error.retryAfterMs / 1000)} s.`;
  const quote =
    error.denialId === undefined
      ? undefined
      : error.hint === undefined
        ? `Quote ${error.denialId} to the owner.`
        : `Otherwise quote ${error.denialId} to the owner.`;
  return [error.hint, wait, quote].filter((part) => part !== undefined).join(" ") || undefined;
}

function details(error: BrokerError): string {
  const { errors } = error.body;
  if (!Array.isArray(errors)) return error.message;
  const places = errors.slice(0, 5).map((one: unknown) => {
    const { path, message } = typeof one === "object" && one !== null ? (one as { path?: unknown; message?: unknown }) : {};
    return [path, message].filter((part) => typeof part === "string" && part !== "").join(": ");
  });
  // The message is often the first of them, without its place or with it.
  const [first] = errors as readonly { readonly message?: unknown }[];
  const said = typeof first?.message === "string" && error.message.endsWith(first.message);
  return (said ? places : [error.message, ...places]).join("; ");
}

const traceOf = (error: BrokerError): string | undefined =>
  error.traceId === undefined ? undefined : `Quote trace ${error.traceId} to whoever runs the broker.`;

/** A workflow command (GitHub): shown beside the step. Its data may not hold `%`, CR or LF as they are. */
function annotation(story: Story): string {
  const escape = (text: string): string => clean(text).replaceAll("%", "%25");
  const text = [story.why, story.yours, story.next].filter((part) => part !== undefined).join(". ");
  return `::error title=${escape(`stint ${story.what}`).replaceAll(":", "%3A").replaceAll(",", "%2C")}::${escape(text)}\n`;
}
