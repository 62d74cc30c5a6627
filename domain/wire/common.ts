import { z } from "zod";
import { ERROR_CODES } from "../errors.ts";
import type { Id, IdKind } from "../ids.ts";

const idOf = <K extends IdKind>(kind: K): z.ZodType<Id<K>, Id<K>> =>
  z
    .templateLiteral([`${kind}_`, z.string().regex(/^[0-7][0-9a-hjkmnp-tv-z]{25}$/)])
    .meta({ id: `${kind}_id`, description: `Id of the form ${kind}_ and 26 characters.` }) as unknown as z.ZodType<Id<K>, Id<K>>;

/** Ids as they stand in paths and bodies. */
export const WireLeaseId = idOf("lease");
export const WireTaskId = idOf("task");
export const WireDenialId = idOf("den");
export const WireRevocationId = idOf("rev");
export const WireLockId = idOf("lock");

/** A text of people, one line or several, without control characters that could forge a log line or drive a terminal. */
export const text = (max: number): z.ZodString =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$/, "contains control characters");

/** A document's name: a grant, a trust, a verifier. */
export const WireName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "expected a name: lower-case letters, digits and dashes, 63 at most")
  .meta({ id: "Name" });

/** A span: `"10m"`, `"1h30m"`, or a number of seconds. */
export const WireDuration = z
  .union([
    z
      .string()
      .max(32)
      .regex(/^(?:\d{1,9}|(?:\d{1,9}(?:ms|[smhd]))+)$/, 'expected a span such as "10m" or a number of seconds'),
    z.number().int().min(0).max(31_536_000),
  ])
  .meta({ id: "Duration", description: 'A span such as "10m" or "1h30m", or a number of seconds.', examples: ["10m", 600] });

/** RFC 3339 in UTC with milliseconds. */
export const WireTime = z.iso.datetime({ precision: 3 }).meta({ id: "Time", description: "RFC 3339, UTC, with milliseconds." });

export const WirePurpose = text(256).meta({ description: "Why it is asked for; recorded, and given to policy." });
/** What to bind to, beside a DPoP proof, which binds by being there. */
export const WireBind = z.literal("certificate").meta({ description: "Bind what is issued to the client's TLS certificate (RFC 8705)." });
export const WireReason = text(512).meta({ description: "Why; recorded in the audit trail." });
export const WireScope = z
  .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/, "expected a scope token (RFC 6749 section 3.3)"))
  .max(64);
/** A subject (`trust:id`) or a display name. */
export const WireWorkload = text(512);
/** SHA-256 in hex. */
export const WireSha256 = z.string().regex(/^[0-9a-f]{64}$/, "expected a SHA-256 in lower-case hex");
/** Verified or supposed claims: plain JSON. */
export const WireClaims = z.record(z.string().min(1).max(256), z.unknown()).meta({ id: "Claims" });

/** Every list takes a cursor from the page before, and a limit. */
export const paging = {
  cursor: z
    .string()
    .min(1)
    .max(4096)
    .regex(/^[\x21-\x7e]+$/, "expected a cursor as a list returned it")
    .optional(),
  limit: z.coerce.number().int().min(1).max(1000).optional(),
};
export const PageQuery = z.strictObject(paging);
export type PageQuery = z.infer<typeof PageQuery>;

/** A page of a list: `next_cursor` is null on the last. */
export const pageOf = <T extends z.ZodType>(
  item: T,
  id: string,
): z.ZodObject<{ items: z.ZodArray<T>; next_cursor: z.ZodNullable<z.ZodString> }> =>
  z.strictObject({ items: z.array(item).max(1000), next_cursor: z.string().nullable() }).meta({ id });

const refusal = {
  code: z.enum(ERROR_CODES).meta({ description: "Stable; explained at /problems/{code}." }),
  denial_id: WireDenialId.optional(),
  trace_id: z.string().regex(/^[0-9a-f]{32}$/),
  retryable: z.boolean().meta({ description: "Whether the same request may succeed later without any change." }),
  hint: z.string().optional(),
  failed_claims: z.array(z.string()).optional(),
  yours: z.record(z.string(), z.unknown()).optional().meta({ description: "The caller's own values of the claims that failed." }),
  lease_id: WireLeaseId.optional(),
  revocation_id: WireRevocationId.optional(),
  candidates: z.array(z.string()).optional(),
};

/** RFC 9457, everywhere outside /oauth2. */
export const ProblemView = z
  .strictObject({
    type: z.url(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().optional(),
    ...refusal,
    errors: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: "Problem" });
export type ProblemView = z.infer<typeof ProblemView>;

/** RFC 6749 section 5.2, at /oauth2. */
export const OAuthErrorView = z
  .strictObject({ error: z.string(), error_description: z.string(), error_uri: z.string(), ...refusal })
  .meta({ id: "OAuthError" });
export type OAuthErrorView = z.infer<typeof OAuthErrorView>;
