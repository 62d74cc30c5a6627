import { PermanentFailure, RetryableFailure } from "../../domain/credential.ts";

/** SQLSTATE classes and codes after which nothing but a person's deed helps, and which one. */
const HOPELESS: Readonly<Record<string, string>> = {
  "42501": "our role lacks a right: the target's warnings name the SQL that gives it",
  "28P01": "our password is not the right one: mend what the target's `password` refers to",
  "28000": "the server lets our role in from nowhere or not from here: look at its pg_hba.conf and at the role's LOGIN",
  "3D000": "the database does not exist: mend the target's or the grant's `database`",
  "42704": "a role does not exist there: create it, or mend the target's `roles`",
  "0LP01": "a role may not be granted: mend the target's `roles`",
  "42710": "a role of that name is there already, and is not of our making",
  "42601": "the server does not understand us: its version is not one that we know",
  "0A000": "the server does not do that: its version is not one that we know",
};
/** Of these codes we know that they pass. What is in neither table is tried again as well: a lease is never given up. */
const PASSING: Readonly<Record<string, string>> = {
  "53300": "all its connections are taken",
  "55P03": "somebody holds a lock that we need",
  "57014": "it took too long",
  "55006": "it is in use",
  "25006": "it is read-only now, as a standby is",
  "57P03": "it is starting up or shutting down",
  XX000: "somebody else changed the same row",
  "2BP01": "something depends on it that appeared meanwhile",
};
/** Locks and dependencies: the server is well, and a workload may have brought them about. */
const IN_THE_WAY = /^(?:55P03|55006|2BP01|40001|40P01|XX000)$/;
/** Node's codes of certificates that are not believed. */
const CERTIFICATE = /^(?:CERT_|UNABLE_TO_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_|INVALID_CA|PATH_LENGTH|ERR_SSL)/;

/** The five characters of SQLSTATE when the server itself said so. */
export function sqlStateOf(error: unknown): string | undefined {
  const code = propertyOf(error, "code");
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && propertyOf(error, "severity") !== undefined ? code : undefined;
}

/** Whether the connection is fit for more after this error. */
export const keepsConnection = (error: unknown): boolean => {
  const state = sqlStateOf(error);
  return state !== undefined && propertyOf(error, "severity") === "ERROR" && !/^(?:08|57P)/.test(state);
};

/** Nothing came of it and the same may be tried at once: the server undid the whole transaction because of somebody else's. */
export const wasInterleaved = (error: unknown): boolean => /^(?:XX000|40001|40P01)$/.test(sqlStateOf(error) ?? "");

/** One of ours for one of the driver's: what was being done, what the server said, what next. One line, no secret. */
export function asFailure(error: unknown, doing: string): RetryableFailure | PermanentFailure {
  if (error instanceof RetryableFailure || error instanceof PermanentFailure) return error;
  const state = sqlStateOf(error);
  const said = oneLine(propertyOf(error, "message"));
  if (state !== undefined) {
    const hopeless = HOPELESS[state];
    if (hopeless !== undefined) return new PermanentFailure(`${doing}: ${state} ${said}; ${hopeless}`, { cause: error });
    const passing = PASSING[state];
    return new RetryableFailure(`${doing}: ${state} ${said}${passing === undefined ? "" : ` (${passing})`}; it is tried again`, {
      cause: error,
      aboutOne: IN_THE_WAY.test(state),
    });
  }
  const code = propertyOf(error, "code");
  if (typeof code === "string" && CERTIFICATE.test(code))
    return new PermanentFailure(`${doing}: the server's certificate is not believed (${code}); look at the target's \`tls\``, {
      cause: error,
    });
  if (said.includes("does not support SSL"))
    return new PermanentFailure(`${doing}: the server speaks no TLS; turn it on there, or set the target's \`tls\``);
  const what = typeof code === "string" ? code : said;
  return new RetryableFailure(`${doing}: the server cannot be reached (${what}); it is tried again`, { cause: error });
}

function propertyOf(error: unknown, name: string): unknown {
  return typeof error === "object" && error !== null && name in error ? (error as Readonly<Record<string, unknown>>)[name] : undefined;
}

/** A server's words may hold anything: one line, printable, and no more than a person would read. */
function oneLine(text: unknown): string {
  const line = (typeof text === "string" ? text : "unknown error").replaceAll(/[^\x20-\x7e\u00a0-\u024f]+/g, " ").trim();
  return line.length > 200 ? `${line.slice(0, 200)}...` : line;
}
