import { z } from "zod";
import { referenceTo, span } from "../written.ts";
import { sourceNetwork } from "./address.ts";
import { MAX_LINE, parsePublicKey } from "./public-key.ts";
import { MalformedKey } from "./wire.ts";

const SECOND = 1000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A line of a `.pub` file, read. */
export const PublicKeyLine = z
  .string("must be one line of a .pub file")
  .max(MAX_LINE, `is longer than ${MAX_LINE} characters`)
  .transform((line, context) => {
    try {
      return parsePublicKey(line);
    } catch (error) {
      const reason = error instanceof MalformedKey ? error.message : "it is not a key";
      context.addIssue({ code: "custom", message: `cannot be used: ${reason}` });
      return z.NEVER;
    }
  });

const Fingerprint = z
  .string()
  .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, "must be a fingerprint as ssh-keygen -l prints it: SHA256: and 43 characters");

const Authority = z
  .strictObject({
    /** The private key of a CA that somebody supplies; absent: we make one and keep it sealed in the store. */
    key: referenceTo("key").optional(),
    /** Public keys of further CAs that hosts are to believe: the one before this, or the one that comes next. */
    also: z.array(PublicKeyLine).max(8, "holds more than 8 keys").optional(),
    /** How long a new CA stands in `ca.pub` before it signs: longer than hosts take to read that. */
    announce: span(60 * SECOND, 30 * DAY).optional(),
    /** CAs that leaked: they are taken out of `ca.pub`, stand in the revocation list, and sign nothing more. */
    distrust: z.array(Fingerprint).max(16, "holds more than 16 fingerprints").default([]),
  })
  .superRefine((ca, context) => {
    if (ca.key !== undefined && ca.announce !== undefined)
      context.addIssue({ code: "custom", path: ["announce"], message: "belongs to a CA that Stint makes; this one is supplied" });
    if (ca.key === undefined && ca.also !== undefined)
      context.addIssue({
        code: "custom",
        path: ["also"],
        message: "belongs to a CA that is supplied (`key`); of its own, Stint knows what to publish",
      });
  });

/** Names that reach a shell's prompt, a log or another line of a file as they are. */
const HostName = z.string().regex(/^[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$/, "must be a host name or an address");
const UserName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/, "must be a user name of letters, digits and `_.-`, at most 32");
const KnownHost = z
  .string()
  .max(4096)
  .regex(
    /^(?:@cert-authority )?[^\s#@][^\s]* [a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}(?: [^\0\r\n]*)?$/,
    "must be one line of a known_hosts file",
  );

/** Members of a Target with `issuer: ssh`. */
export const SshSettings = z
  .strictObject({
    ca: Authority.default({ distrust: [] }),
    /** Every host reads the revocation list at least this often; absent: nobody says so, and certificates die by their own end. */
    list_read_every: span(SECOND, DAY).optional(),
    /** Where workloads connect to, as they are told it beside the certificate. */
    host: HostName.optional(),
    port: z.int().min(1).max(65_535).optional(),
    user: UserName.optional(),
    /** How they know the host: lines for their known_hosts file. */
    known_hosts: z.array(KnownHost).max(32, "holds more than 32 lines").optional(),
  })
  .superRefine(({ ca, list_read_every: readEvery }, context) => {
    if (ca.announce !== undefined && readEvery !== undefined && ca.announce < 2 * readEvery)
      context.addIssue({
        code: "custom",
        path: ["ca", "announce"],
        message: "must be at least twice list_read_every, or hosts meet a CA they do not know",
      });
  });
export type SshSettings = z.output<typeof SshSettings>;

/** sshd takes 256 of them; nobody reads such a list. */
const MOST_PRINCIPALS = 32;
/** No comma, space, quote, wildcard or control character: they part principals somewhere on the way to sshd's files and logs. */
export const Principal = z
  .string()
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9_.@:/+-]{0,127}$/,
    "must be a principal of letters, digits and `_.@:/+-`, at most 128, beginning with a letter, digit or `_`",
  );
const Principals = z
  .array(Principal)
  .min(1, "must hold at least one: a certificate without principals would be valid for everybody")
  .max(MOST_PRINCIPALS, `holds more than ${MOST_PRINCIPALS} principals`)
  .refine((names) => new Set(names).size === names.length, "names a principal twice");

/** What OpenSSH knows; absent from a certificate, sshd refuses it. */
export const EXTENSIONS = [
  "permit-pty",
  "permit-port-forwarding",
  "permit-agent-forwarding",
  "permit-X11-forwarding",
  "permit-user-rc",
] as const;

const SourceNetwork = z.string().transform((text, context) => {
  const read = sourceNetwork(text);
  if ("network" in read) return read.network;
  context.addIssue({ code: "custom", message: read.wrong });
  return z.NEVER;
});

/** Somebody's own extension: its domain tells it from OpenSSH's. */
const EXTENSION_NAME = /^[a-z0-9][a-z0-9-]{0,62}@[a-z0-9][a-z0-9.-]{0,125}$/;
const MOST_EXTENSIONS = 16;
const CustomExtensions = z
  .record(
    z.string(),
    z
      .string()
      .max(1024, "is longer than 1024 characters")
      .regex(/^[^\x00-\x1f\x7f]*$/, "must not hold control characters"),
  )
  .superRefine((named, context) => {
    const names = Object.keys(named);
    for (const name of names.filter((text) => !EXTENSION_NAME.test(text)))
      context.addIssue({
        code: "custom",
        path: [name],
        message: "must be a name such as login@github.com; OpenSSH's own stand under `extensions`",
      });
    if (names.length > MOST_EXTENSIONS) context.addIssue({ code: "custom", message: `holds more than ${MOST_EXTENSIONS} extensions` });
  });

/** Who makes the key of a certificate: the asker, we, or whoever likes. */
const KEY_MAKERS = ["ask", "make", "either"] as const;

/** Members under a grant's `issue` for a target of ours. */
export const SshParams = z.strictObject({
  /** What the certificate lets in as; sshd compares with the user's name, or with what AuthorizedPrincipalsFile says of the user. */
  principals: Principals,
  /** Runs instead of whatever is asked for. */
  force_command: z
    .string()
    .min(1, "must name a command")
    .max(4096, "is longer than 4096 characters")
    .regex(/^[^\x00-\x1f\x7f]*$/, "must not hold control characters or line breaks")
    .optional(),
  /** Networks that the certificate may be shown from. */
  source_address: z.array(SourceNetwork).min(1, "must hold a network, or be left out").max(64, "holds more than 64 networks").optional(),
  extensions: z
    .array(z.enum(EXTENSIONS, `must be one of ${EXTENSIONS.join(", ")}`))
    .refine((names) => new Set(names).size === names.length, "names an extension twice")
    .default([]),
  custom_extensions: CustomExtensions.default({}),
  key: z.enum(KEY_MAKERS).default("either"),
});
export type SshParams = z.output<typeof SshParams>;

/** What may be asked beside a grant. */
export const SshOptions = z.strictObject({
  /** The asker's own key: then no private key ever travels. */
  public_key: PublicKeyLine.optional(),
  /** Some of the grant's principals only. */
  principals: Principals.optional(),
});
export type SshOptions = z.output<typeof SshOptions>;

/** What stands against these options under a grant; undefined: nothing. */
export function refusalOfOptions(params: SshParams, options: SshOptions): string | undefined {
  const beyond = options.principals?.find((name) => !params.principals.includes(name));
  if (beyond !== undefined) return `the grant has no principal ${beyond}; it has ${params.principals.join(", ")}`;
  if (params.key === "ask" && options.public_key === undefined)
    return "the grant wants a key of your own: give `public_key`, a line of a .pub file";
  if (params.key === "make" && options.public_key !== undefined) return "under this grant the broker makes the key: leave `public_key` out";
  return undefined;
}
