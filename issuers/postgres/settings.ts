import { isIP } from "node:net";
import { z } from "zod";
import { parseHostPort } from "../../domain/host-port.ts";
import { parseDuration } from "../../domain/time.ts";
import { filePath, referenceTo } from "../written.ts";

const POSTGRES_PORT = 5432;
/** Roles that let whoever has them leave the database: run programs, read and write the server's files, end anybody's session. */
const OUT_OF_BOUNDS = /^(?:pg_execute_server_program|pg_read_server_files|pg_write_server_files|pg_signal_backend|pg_database_owner)$/;
/** Roles that may write to, or lock, every table: our own with the leases that have ended as well. */
const EVERYWHERE = /^(?:pg_write_all_data|pg_maintain)$/;
/** Words that `GRANT` reads as something else than a name, and roles that are somebody's lease. */
const NO_NAME = /^(?:public|none|current_user|current_role|session_user|postgres|lease_.*)$/;

/** Names of roles, schemas and databases: what they could break out with is not even accepted, and they are quoted all the same. */
const Name = z
  .string()
  .regex(
    /^[A-Za-z_][A-Za-z0-9_$-]{0,62}$/,
    "must be a name of letters, digits, `_`, `-` and `$`, at most 63, beginning with a letter or `_`",
  );
const GroupRole = Name.refine((name) => !NO_NAME.test(name), {
  error: "must be a role made for workloads, not one with a meaning of its own",
})
  .refine((name) => !OUT_OF_BOUNDS.test(name), { error: "gives whoever has it the whole server; name a role made for workloads" })
  .refine((name) => !EVERYWHERE.test(name), {
    error: "may lock our own table, so that nothing could be ended while a workload likes; name a role with rights on your tables alone",
  });

const Address = z
  .string()
  .max(260)
  .superRefine((text, context) => {
    const parsed = parseHostPort(text, POSTGRES_PORT);
    if ("wrong" in parsed) context.addIssue({ code: "custom", message: `must be host:port; ${parsed.wrong}` });
  });

/** Kept as it is written: the default then stands in the schema that editors read. */
const span = (least: string, most: string, usual: string) =>
  z
    .string()
    .refine((text) => within(text, least, most), { error: `must be a duration from ${least} to ${most}` })
    .default(usual);

const within = (text: string, least: string, most: string): boolean => {
  const ms = parseDuration(text);
  return ms !== undefined && ms >= (parseDuration(least) ?? 0) && ms <= (parseDuration(most) ?? 0);
};

const Tls = z.strictObject({
  /** `disable` where the network is trusted; unasked: `verify-full`, but `disable` on a unix socket and on loopback. */
  mode: z.enum(["verify-full", "verify-ca", "disable"]).optional(),
  /** Certificates of the authorities that are believed, PEM; unasked: those that Node believes. */
  ca_file: filePath.optional(),
});

/** Members of a Target with `issuer: postgres`. */
export const PostgresSettings = z
  .strictObject({
    /** `db.internal:5432`. */
    address: Address.optional(),
    /** Instead of an address: the folder of the server's unix socket, or the socket itself. */
    socket: z
      .string()
      .regex(/^\/[A-Za-z0-9_./-]{1,100}$/, "must be an absolute path of letters, digits and `_.-/`")
      .optional(),
    /** What workloads are told instead of `address`, where they reach the server by another name. */
    client_address: Address.optional(),
    /** Where we connect to, and what a credential names unless its grant says otherwise. */
    database: Name.default("postgres"),
    /** Our own role there; no superuser. */
    user: Name,
    password: referenceTo("password").optional(),
    tls: Tls.default({}),
    /** Roles that grants may choose from. What they may do is the database's affair. */
    roles: z.array(GroupRole).min(1).max(64),
    /** What becomes of tables and the like that a credential's role made. */
    owned: z.enum(["reassign", "drop"]).default("reassign"),
    /** Whose they become; unasked: the first of the lease's own roles. */
    reassign_to: GroupRole.optional(),
    /** Where we keep the table that refuses late issuing. */
    schema: Name.refine((name) => !/^(?:pg_|public$|information_schema$)/.test(name), { error: "must be a schema of our own" }).default(
      "stint",
    ),
    /** Connections in use at once, for issuing and revoking together. */
    connections: z.int().min(2).max(8).default(8),
    statement_timeout: span("1s", "15s", "10s"),
    lock_timeout: span("100ms", "10s", "4s"),
    idle_after: span("1s", "10m", "30s"),
  })
  .superRefine((settings, context) => {
    const wrong = (path: string, message: string): void => context.addIssue({ code: "custom", path: [path], message });
    if ((settings.address === undefined) === (settings.socket === undefined)) wrong("address", "say either `address` or `socket`");
    if (settings.roles.includes(settings.user) || settings.reassign_to === settings.user)
      wrong("user", "must be none of the roles: whoever got it could make credentials, and what leases made must not become ours");
    if (new Set(settings.roles).size < settings.roles.length) wrong("roles", "names a role twice");
    if (settings.tls.mode === "verify-ca" && settings.tls.ca_file === undefined)
      wrong("tls", "`verify-ca` needs a `ca_file`: any server has a certificate that some public authority signed");
    if (settings.socket !== undefined && settings.tls.mode?.startsWith("verify")) wrong("tls", "there is no TLS on a unix socket");
  });
export type PostgresSettings = z.output<typeof PostgresSettings>;

/** Members under a grant's `issue` for a target of ours. */
export function postgresParams(settings: PostgresSettings) {
  const known = z.enum(settings.roles, { error: `must be one of the target's roles: ${settings.roles.join(", ")}` });
  const several = z
    .array(known)
    .min(1)
    .refine((names) => new Set(names).size === names.length, { error: "names a role twice" });
  const only = settings.roles.length === 1 ? settings.roles[0] : undefined;
  return z.strictObject({
    /** One of the target's roles, or several; may be left out where it has one. */
    role: only === undefined ? z.union([known, several]) : z.union([known, several]).default(only),
    database: Name.default(settings.database),
    /** Sessions that one credential may have at once. */
    connection_limit: z.int().min(1).max(10_000).optional(),
  });
}
export type PostgresParams = z.output<ReturnType<typeof postgresParams>>;

export const rolesOf = ({ role }: PostgresParams): readonly string[] => (typeof role === "string" ? [role] : role);

/** Where a server is: a host name or address, or the folder of its unix socket. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/** Where we connect to. */
export function placeOf({ address, socket }: PostgresSettings): Place {
  if (address !== undefined) return place(address);
  const [, folder = "", port] = /^(.*?)\/*(?:\/\.s\.PGSQL\.(\d{1,5}))?$/.exec(socket ?? "") ?? [];
  return { host: folder, port: port === undefined ? POSTGRES_PORT : Number(port) };
}

/** What a workload is told. */
export const clientPlaceOf = (settings: PostgresSettings): Place =>
  settings.client_address === undefined ? placeOf(settings) : place(settings.client_address);

function place(address: string): Place {
  const parsed = parseHostPort(address, POSTGRES_PORT);
  if ("wrong" in parsed) throw new Error(`address: ${parsed.wrong}`);
  return parsed.value;
}

export type TlsMode = "verify-full" | "verify-ca" | "disable";

/** Whether we insist on TLS: everywhere but on this machine, unless told otherwise. */
export function tlsModeOf(settings: PostgresSettings): TlsMode {
  if (settings.socket !== undefined) return "disable";
  if (settings.tls.mode !== undefined) return settings.tls.mode;
  return isLoopback(placeOf(settings).host) && settings.tls.ca_file === undefined ? "disable" : "verify-full";
}

export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));

/** Settings hold durations as people write them. */
export const msOf = (text: string): number => parseDuration(text) ?? 0;
