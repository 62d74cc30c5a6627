import { z } from "zod";
import { parseDuration } from "../../domain/time.ts";
import { ALLOWED_ALGORITHMS } from "../attestation/presets.ts";
import { PRESETS } from "./policy.ts";

/** What people write, before it is checked across documents and compiled. Unknown members are errors. */

/** Shortest and longest life of a credential, in milliseconds. */
export const MIN_TTL_MS = 5_000;
export const MAX_TTL_MS = 86_400_000;
export const DEFAULT_TTL_MS = 600_000;

export const Name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "must be 1 to 63 lower-case letters, digits and dashes, and must not begin with a dash")
  .describe("Unique among documents of this kind.");
const Text = z.string().min(1, "must not be empty").max(2048, "is longer than 2048 characters");
const Owner = Text.max(128).describe("Who answers for this document.");
const Day = z.iso.date("must be a day written as 2027-06-30").describe("The day by which somebody looks at this again.");

/** A span of time as people write it; milliseconds between the two bounds. */
const span = (minMs: number, maxMs: number, bounds: string): z.ZodType<string | number> =>
  z
    .union([z.string(), z.number()], "must be a duration such as 90s, 10m or 1h30m")
    .refine((text) => parseDuration(text) !== undefined, { error: "must be a duration such as 90s, 10m or 1h30m", abort: true })
    .refine((text) => within(parseDuration(text), minMs, maxMs), `must be ${bounds}`);
const within = (ms: number | undefined, min: number, max: number): boolean => ms !== undefined && ms >= min && ms <= max;
const Ttl = span(MIN_TTL_MS, MAX_TTL_MS, "at least 5s and at most 24h");

const Scalar = z.union(
  [z.string().max(4096, "is longer than 4096 characters"), z.number(), z.boolean()],
  "must be text, a number, true or false",
);
const OneOf = z.array(Scalar).min(1, "an empty list matches nothing; name at least one value").max(1024, "holds more than 1024 values");
const Glob = z.string().min(1, "must not be empty").max(1024, "is longer than 1024 characters");

/** A condition that is more than a value or a list of values: exactly one of `glob`, `not`, `regex`, `includes`. */
export const Test = z
  .strictObject({
    glob: Glob.describe('* stops at "/" and ":", ** does not; anchored at both ends.').optional(),
    not: z.union([Scalar, OneOf, z.strictObject({ glob: Glob })], "must be a value, a list of values, or { glob: ... }").optional(),
    regex: z
      .string()
      .min(2, "must be written ^...$")
      .max(1024, "is longer than 1024 characters")
      .describe("RE2 syntax, anchored: ^...$")
      .optional(),
    includes: Scalar.describe("Member of a list claim, or of a string that is split first.").optional(),
    split: z.string().min(1, "must not be empty").max(8, "is longer than 8 characters").optional(),
  })
  .describe("One of glob, not, regex, includes.");
export const Condition = z
  .union([Scalar, OneOf, Test], "must be a value, a list of values, or one of { glob }, { not }, { regex }, { includes, split }")
  .meta({ id: "Condition" });
export type Condition = z.infer<typeof Condition>;
export type Scalar = z.infer<typeof Scalar>;

const ClaimName = z.string().min(1, "must not be empty").max(256, "is longer than 256 characters");
const Conditions = z
  .record(ClaimName, Condition)
  .meta({ id: "Conditions" })
  .describe('Claim name, or a JSON Pointer when it begins with "/".');
const When = z.string().min(1, "must not be empty").max(2048, "is longer than 2048 characters").describe("A CEL expression.");
const AllowRule = z.strictObject({ trust: Name, claims: Conditions.optional(), when: When.optional() });
const DenyRule = z.strictObject({ trust: Name.optional(), claims: Conditions.optional(), when: When.optional() });
export type RuleDocument = z.infer<typeof DenyRule>;

const Accept = z.record(z.string(), Text.max(512)).describe("Lint rules that do not apply to this document, each with the reason why.");

/** `aud` values and origins: visible ASCII, as they appear in tokens. */
const Audience = Text.max(512).regex(/^[\x21-\x7e]+$/, "must be visible ASCII without spaces");
const OneOrMore = <T extends z.ZodType>(item: T): z.ZodType<z.infer<T> | z.infer<T>[]> =>
  z.union([item, z.array(item).min(1, "must not be empty").max(64, "holds more than 64 values")]);

const Oidc = z.strictObject({
  issuer: Text.max(512).describe("Compared byte for byte with the token's iss."),
  audience: OneOrMore(Audience).describe("Default: STINT_URL.").optional(),
  preset: z.enum(PRESETS).describe("Which platform's claims, anchors and defaults apply.").optional(),
  jwks_file: Text.describe("Keys from a file, relative to this one.").optional(),
  jwks_uri: Text.optional(),
  private_network: z.boolean().describe("Its addresses may be private.").optional(),
  ca_file: Text.optional(),
  bearer_file: Text.optional(),
  insecure_http: z.boolean().describe("Only for a loopback issuer.").optional(),
  algorithms: z
    .array(z.enum(ALLOWED_ALGORITHMS as readonly [string, ...string[]]))
    .min(1, "must not be empty")
    .optional(),
  single_use: z.boolean().optional(),
});

export const TrustDocument = z.strictObject({
  kind: z.literal("Trust"),
  name: Name,
  owner: Owner.optional(),
  review_by: Day.optional(),
  description: Text.optional(),
  oidc: Oidc,
  id: Text.describe("Template of the immutable id, for example ${repository_id}.").optional(),
  workload: Text.describe("Template of what people see.").optional(),
  task: Text.describe("Template: the same value is the same task.").optional(),
  accept: Accept.optional(),
});
export type TrustDocument = z.infer<typeof TrustDocument>;

/** `limit_rate` and `limit_active` count up to this. */
const Count = z.number().int("must be a whole number").min(1, "must be at least 1").max(1_000_000, "must be at most 1000000");
export const EXPECTATION = /^(?:allow|deny(?: [a-z][a-z0-9_]{1,40})?)$/;
const PolicyTest = z.strictObject({
  name: Text.max(256),
  given: z.strictObject({
    trust: Name,
    claims: z.record(z.string(), z.unknown()),
    purpose: z.string().max(512).optional(),
    scope: z.array(z.string().max(256)).max(64).optional(),
    ttl: span(0, MAX_TTL_MS, "at most 24h").optional(),
    resource: z.string().max(512).optional(),
    environment: z.string().max(256).optional(),
    ip: z.string().max(64).optional(),
    at: z.iso.datetime("must be a time written as 2027-01-31T09:00:00Z").describe("When the request is made; UTC.").optional(),
  }),
  expect: z.string().regex(EXPECTATION, 'must be "allow", "deny" or "deny <code>"'),
});
export type PolicyTest = z.infer<typeof PolicyTest>;

const ScopeToken = z
  .string()
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, "must be a scope of RFC 6749: visible ASCII without spaces, quotes and backslashes");
const Issue = z.looseObject({
  issuer: Text.max(63).describe("Kind of credential, for example jwt.").optional(),
  target: Name.optional(),
  audience: Audience.optional(),
  scope: z.array(ScopeToken).max(64, "holds more than 64 values").optional(),
  ttl: Ttl.describe("What one gets unasked; default 10m.").optional(),
  max_ttl: Ttl.describe("What may be asked; default as ttl.").optional(),
});

export const SENSITIVITIES = ["low", "medium", "high", "critical"] as const;
export const GrantDocument = z.strictObject({
  kind: z.literal("Grant"),
  name: Name,
  owner: Owner.optional(),
  review_by: Day.optional(),
  description: Text.optional(),
  sensitivity: z.enum(SENSITIVITIES).optional(),
  mode: z.enum(["enforce", "audit"]).optional(),
  allow: z.array(AllowRule).min(1, "must hold at least one rule; without one nobody is allowed").max(256, "holds more than 256 rules"),
  deny: z.array(DenyRule).max(256, "holds more than 256 rules").optional(),
  issue: Issue,
  limits: z.strictObject({ active: Count.optional(), per_hour: Count.optional() }).optional(),
  accept: Accept.optional(),
  tests: z.array(PolicyTest).max(1000, "holds more than 1000 tests").optional(),
});
export type GrantDocument = z.infer<typeof GrantDocument>;

const KeyHash = z.string().regex(/^sha256:[0-9a-f]{64}$/, "must be sha256: and 64 lower-case hex digits");
const Route = z.strictObject({
  method: OneOrMore(z.string().regex(/^(?:[A-Z]{1,16}|\*)$/, "must be an HTTP method in capitals, or *")).optional(),
  path: Text.max(1024).describe('Decoded, from the first "/", without a query. * stops at "/" and ":", ** does not.'),
  require: z.strictObject({ scope: z.array(ScopeToken).max(64, "holds more than 64 values").optional() }).optional(),
  when: When.describe("A CEL expression over token, request and now.").optional(),
});
export const VerifierDocument = z.strictObject({
  kind: z.literal("Verifier"),
  name: Name,
  owner: Owner.optional(),
  description: Text.optional(),
  audience: Audience,
  key: OneOrMore(KeyHash).describe("How it authenticates to introspection and the feed.").optional(),
  checks: z.enum(["feed", "introspection", "status_list", "none"]).optional(),
  routes: z.array(Route).max(1000, "holds more than 1000 routes").optional(),
  accept: Accept.optional(),
});
export type VerifierDocument = z.infer<typeof VerifierDocument>;

/** A place at which an issuer makes credentials. Its other members are the issuer's own settings, checked by the issuer's schema. */
export const TargetDocument = z.looseObject({
  kind: z.literal("Target"),
  name: Name,
  owner: Owner.optional(),
  issuer: Text.max(63).describe("Kind of credential that is made there, for example postgres."),
  rotate: span(3_600_000, 400 * 86_400_000, "at least 1h and at most 400d")
    .describe("How often the broker changes its own password or key there; default never.")
    .optional(),
});
export type TargetDocument = z.infer<typeof TargetDocument>;

export const SettingsDocument = z.strictObject({
  kind: z.literal("Settings"),
  name: z.literal("settings", 'must be "settings"'),
  owner: Owner.optional(),
  lint: z.enum(["error", "warn"]).optional(),
  tasks: z.strictObject({ implicit_ttl: span(60_000, 7 * 86_400_000, "at least 1m and at most 7d").optional() }).optional(),
  retention: span(3_600_000, 400 * 86_400_000, "at least 1h and at most 400d").optional(),
});
export type SettingsDocument = z.infer<typeof SettingsDocument>;

export const DOCUMENTS = {
  Trust: TrustDocument,
  Grant: GrantDocument,
  Verifier: VerifierDocument,
  Target: TargetDocument,
  Settings: SettingsDocument,
} as const;
export type Kind = keyof typeof DOCUMENTS;
export type AnyDocument = TrustDocument | GrantDocument | VerifierDocument | TargetDocument | SettingsDocument;
