import { z } from "zod";
import type { Issuer } from "../../domain/credential.ts";
import { StintError } from "../../domain/errors.ts";

/**
 * What was asked beside the grant, as the issuer reads it under the grant's settings. Called once the decision allows: whoever may not have the grant learns
 * nothing of what it takes. Throws `invalid_request` that names the members.
 */
export function readOptions(
  issuer: Pick<Issuer, "kind" | "options" | "refuses">,
  params: unknown,
  asked: Readonly<Record<string, unknown>> | undefined,
): Readonly<Record<string, unknown>> {
  if (issuer.options === undefined) {
    if (asked === undefined || Object.keys(asked).length === 0) return {};
    throw new StintError("invalid_request", `options: a ${issuer.kind} credential takes none`);
  }
  const read = issuer.options.safeParse(asked ?? {});
  if (read.success) {
    const refusal = issuer.refuses?.(params, read.data);
    if (refusal === undefined) return read.data;
    throw new StintError("invalid_request", `options: ${refusal}`, { errors: [{ path: "options", message: refusal }] });
  }
  const errors = read.error.issues
    .slice(0, 20)
    .map((issue) => ({ path: ["options", ...issue.path].map(String).join("."), message: sentenceOf(issue, issuer) }));
  throw new StintError("invalid_request", `${errors[0]?.path ?? "options"}: ${errors[0]?.message ?? "not understood"}`, { errors });
}

/** Whoever named a member that there is not is told which there are. */
function sentenceOf(issue: z.core.$ZodIssue, { kind, options }: Pick<Issuer, "kind" | "options">): string {
  if (issue.code !== "unrecognized_keys") return issue.message;
  const unknown = issue.keys.map((key) => `"${key}"`).join(", ");
  const known = options instanceof z.ZodObject ? Object.keys(options.shape).join(", ") : "";
  return `there is no option ${unknown}${known === "" ? "" : `; a credential of kind ${kind} takes ${known}`}`;
}
