import { z } from "zod";
import { isId, type LeaseId } from "../../domain/ids.ts";

/** Bytes of a maker's answer. */
export const MAX_ANSWER = 65_536;
/** Bytes of one page of a maker's list. */
export const MAX_PAGE = 1_048_576;
/** How deep an answer may nest. */
export const MAX_DEPTH = 8;

/** They mean something on our wire, or to JavaScript. */
const TAKEN = new Set(["type", "kind", "constructor", "prototype", "toString", "valueOf"]);

/** Any JSON, at most eight levels of it in one answer. */
export const Json = z.json();
const LeaseIdText = z
  .custom<LeaseId>((text) => isId("lease", text), { error: "must be the id of a lease" })
  .meta({
    type: "string",
    pattern: "^lease_[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}$",
    description: "Names everything: what is made, asked for again, and ended.",
  });
const Instant = z.iso.datetime({ offset: true }).meta({ description: "RFC 3339." });
const MemberName = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,62}$/)
  .refine((name) => !TAKEN.has(name), { error: "is a name with a meaning of its own" });
const SecretText = z.string().min(1).max(16_384);

const MadeCredential = z
  .strictObject({
    kind: z
      .string()
      .regex(/^[a-z][a-z0-9_]{0,62}$/)
      .optional()
      .meta({ description: "What it is, in the maker's own word: `rabbitmq_user`. Workloads see it as `kind`." }),
    secret: z
      .strictObject({ name: MemberName, value: SecretText })
      .meta({ description: "The one secret that opens the door; whoever finds it can name its lease by its SHA-256." }),
    secrets: z.record(MemberName, SecretText).optional().meta({ description: "Further secrets by name." }),
    facts: z.record(MemberName, Json).optional().meta({ description: "What anybody may see: host, user name." }),
  })
  .superRefine((made, context) => {
    const names = [made.secret.name, ...Object.keys(made.secrets ?? {}), ...Object.keys(made.facts ?? {})];
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) context.addIssue({ code: "custom", message: `says ${twice} twice` });
    if (names.length > 32) context.addIssue({ code: "custom", message: "has more than 32 members" });
  })
  .meta({ description: "No name may stand twice, be `type` or `kind`, or reach for a prototype; 32 at most." });
export type MadeCredential = z.output<typeof MadeCredential>;

/** POST /credentials: what a maker is told. */
export const CreateRequest = z.strictObject({
  lease_id: LeaseIdText,
  broker: z.string().meta({ description: "The broker's URL. It is to be kept with what is made: the list names it." }),
  target: z.string().meta({ description: "The Target's name." }),
  subject: z.string(),
  workload: z.string(),
  grant: z.string(),
  purpose: z.string().optional(),
  scope: z.array(z.string()),
  params: z.record(z.string(), Json).meta({ description: "The grant's own words to the maker." }),
  options: z
    .record(z.string(), Json)
    .meta({ description: "What the workload asked for beside the grant; only names that the Target allows." }),
  issued_at: Instant,
  expires_at: Instant.meta({ description: "When the credential is ended at the latest, unless it is renewed." }),
});
export type CreateRequest = z.output<typeof CreateRequest>;

/** What a maker answers. */
export const CreateAnswer = z.strictObject({
  lease_id: LeaseIdText,
  credential: MadeCredential,
  handle: z
    .string()
    .regex(/^[\x21-\x7e]{1,2048}$/)
    .optional()
    .meta({
      description: "Comes back as `Stint-Handle` when it is to be ended, if the broker lived to keep it; the lease id must do without.",
    }),
  expires_at: Instant.optional().meta({ description: "When it dies by itself, if it does. Never after the lease." }),
});
export type CreateAnswer = z.output<typeof CreateAnswer>;

export const RenewRequest = z.strictObject({ lease_id: LeaseIdText, expires_at: Instant });

/** 200 with it: what changed. 204: the credential keeps its value. */
export const RenewAnswer = CreateAnswer.partial({ credential: true });

export const Listing = z.strictObject({
  items: z.array(z.strictObject({ lease_id: z.string().max(128), broker: z.string().max(2048) })).max(1000),
  next_cursor: z
    .string()
    .regex(/^[\x21-\x7e]{1,1024}$/)
    .nullish(),
});

/** A refusal in words; RFC 9457 problems fit. Only `detail` is ever shown, to operators. */
export const Refusal = z.looseObject({ detail: z.string().optional() });
