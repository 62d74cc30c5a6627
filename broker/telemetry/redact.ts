import { Secret } from "../../domain/secret.ts";

/** Field names whose value is never written, whatever their case, dashes and underscores. */
const SECRET_FIELDS = new Set([
  "accesstoken",
  "actortoken",
  "assertion",
  "authorization",
  "body",
  "clientassertion",
  "clientsecret",
  "cookie",
  "credential",
  "credentials",
  "dpop",
  "evidence",
  "handle",
  "idtoken",
  "key",
  "masterkey",
  "operatortoken",
  "passphrase",
  "password",
  "privatekey",
  "proxyauthorization",
  "refreshtoken",
  "secret",
  "setcookie",
  "subjecttoken",
  "tasktoken",
  "token",
]);
const REDACTED = "[redacted]";
const DEEPEST = 5;
const MOST_MEMBERS = 50;
const LONGEST_TEXT = 2048;

/** Tokens that got into a text all the same: compact JWS and JWE, and what follows `Bearer` or `Basic`. */
const TOKEN_TEXT = /\beyJ[\w-]{8,}(?:\.[\w-]*){2,4}|\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi;
/** What a terminal or a reader's eye obeys: controls, line separators, marks that reverse or hide text. */
const UNSAFE = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Log fields as they may be written: secrets by name replaced, errors reduced to what helps, size bounded. */
export function cleanFields(fields: object): Record<string, unknown> {
  const clean = cleanValue(fields, 0);
  return typeof clean === "object" && clean !== null && !Array.isArray(clean) ? (clean as Record<string, unknown>) : { value: clean };
}

/** A line of JSON with no token in it, and nothing that acts on whoever reads it. What is replaced stands inside JSON strings only. */
export function safeLine(line: string): string {
  return line
    .replace(TOKEN_TEXT, (_, scheme: string | undefined) => (scheme === undefined ? REDACTED : `${scheme} ${REDACTED}`))
    .replace(UNSAFE, escaped);
}

/** A text for a terminal: one line, nothing that moves the cursor or colours. */
// eslint-disable-next-line no-control-regex -- controls are what this is about
export const visible = (text: string): string => text.replace(/[\u0000-\u001f]/g, escaped).replace(UNSAFE, escaped);

const escaped = (letter: string): string => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;

function cleanValue(value: unknown, depth: number): unknown {
  if (typeof value === "string")
    return value.length > LONGEST_TEXT ? `${value.slice(0, LONGEST_TEXT)}... (${value.length} characters)` : value;
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "function" || typeof value === "symbol") return undefined;
  if (typeof value !== "object" || value === null) return value;
  if (isError(value)) return cleanError(value, depth);
  // Dates and our Secret say themselves how they are written.
  if (value instanceof Date || value instanceof Secret) return value.toJSON();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth >= DEEPEST) return "[deeper]";
  if (Array.isArray(value)) return value.slice(0, MOST_MEMBERS).map((item) => cleanValue(item, depth + 1));
  const clean: Record<string, unknown> = {};
  const members = value as Readonly<Record<string, unknown>>;
  let count = 0;
  for (const name of Object.keys(value)) {
    if ((count += 1) > MOST_MEMBERS) break;
    const member = members[name];
    clean[name] = member !== undefined && isSecretName(name) ? REDACTED : cleanValue(member, depth + 1);
  }
  return clean;
}

/** Names of fields come from our own code and are few; what a caller named is looked at anew once there are too many. */
const KNOWN_NAMES = new Map<string, boolean>();
const MOST_KNOWN = 1000;

function isSecretName(name: string): boolean {
  let secret = KNOWN_NAMES.get(name);
  if (secret !== undefined) return secret;
  secret = SECRET_FIELDS.has(name.toLowerCase().replace(/[-_]/g, ""));
  if (KNOWN_NAMES.size < MOST_KNOWN) KNOWN_NAMES.set(name, secret);
  return secret;
}

/** Only what is known to be harmless: a client library's error carries the command, with its arguments. */
function cleanError(error: Error, depth: number): Record<string, unknown> {
  const code = "code" in error && (typeof error.code === "string" || typeof error.code === "number") ? error.code : undefined;
  return {
    type: error.name,
    message: cleanValue(error.message, depth),
    ...(code === undefined ? {} : { code }),
    stack: cleanValue(error.stack, depth),
    ...(error.cause === undefined || depth >= DEEPEST ? {} : { cause: cleanValue(error.cause, depth + 1) }),
  };
}

/** Without `instanceof`: errors of another realm (a worker, Jest) are errors too. */
const isError = (value: object): value is Error => value instanceof Error || ("message" in value && "stack" in value && "name" in value);
