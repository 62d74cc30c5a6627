import { readFile } from "node:fs/promises";
import type { CredentialRequest } from "../broker-client.ts";
import { systemCode } from "../errors.ts";
import { span } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { clean } from "./screen.ts";

/** What may be said of a credential that is asked for, as flags. */
export interface AskOptions {
  readonly ttl?: string;
  readonly scope?: readonly string[];
  readonly purpose?: string;
  readonly environment?: string;
  readonly resource?: string;
}

const GRANT = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** The name itself. Throws `UsageError`. */
export function grantName(text: string, where = ""): string {
  if (GRANT.test(text)) return text;
  throw new UsageError(`${where}"${clean(text)}" is not the name of a grant`, "Names have lower-case letters, digits and dashes.");
}

/** The body of a request, with its spans checked before anything is sent. */
export function asked(grant: string, options: AskOptions, more?: CredentialRequest["options"]): CredentialRequest {
  if (options.ttl !== undefined) span(options.ttl, "--ttl");
  const { ttl, scope, purpose, environment, resource } = options;
  const body = {
    ttl,
    scope: scope?.flatMap((one) => one.split(/[ ,]+/)).filter((one) => one !== ""),
    purpose,
    environment,
    resource,
    options: more === undefined || Object.keys(more).length === 0 ? undefined : more,
  };
  return {
    grant: grantName(grant),
    ...(Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)) as Omit<CredentialRequest, "grant">),
  };
}

/** Bytes that an option's file may have. The broker takes 64 KiB in all. */
const LARGEST = 32_768;

/** `name=value`, `name=@file`, and `name:=JSON` for what is no text, as the members that the issuer reads. */
export async function issuerOptions(texts: readonly string[] | undefined): Promise<NonNullable<CredentialRequest["options"]>> {
  const found: NonNullable<CredentialRequest["options"]> = {};
  for (const text of texts ?? []) {
    const [, name, json, value = ""] = /^([a-z][a-z0-9_]{0,63})(:)?=(.*)$/s.exec(text) ?? [];
    if (name === undefined)
      throw new UsageError("--option: expected name=value, name=@file or name:=JSON", "For example --option public_key=@id_ed25519.pub");
    if (Object.hasOwn(found, name)) throw new UsageError(`--option ${name} is given twice`);
    const written = value.startsWith("@") ? await fromFile(value.slice(1), name) : value;
    found[name] = json === undefined ? written : parsed(written, name);
  }
  return found;
}

/** The same for several grants: `GRANT:name=value`, where the grant may be left out when there is one only. */
export async function optionsByGrant(
  texts: readonly string[] | undefined,
  grants: readonly string[],
): Promise<ReadonlyMap<string, NonNullable<CredentialRequest["options"]>>> {
  const parts = new Map<string, string[]>();
  for (const text of texts ?? []) {
    const [, named, rest] = /^([a-z0-9][a-z0-9-]{0,62}):(?!=)(.*)$/s.exec(text) ?? [];
    const grant = named ?? (grants.length === 1 ? grants[0] : undefined);
    if (grant === undefined || !grants.includes(grant))
      throw new UsageError("--option: for which of the grants?", `Say it: --option ${grants[0] ?? "GRANT"}:name=value`);
    parts.set(grant, [...(parts.get(grant) ?? []), rest ?? text]);
  }
  const read = await Promise.all([...parts].map(async ([grant, own]) => [grant, await issuerOptions(own)] as const));
  return new Map(read);
}

function parsed(text: string, name: string): NonNullable<CredentialRequest["options"]>[string] {
  try {
    return JSON.parse(text) as NonNullable<CredentialRequest["options"]>[string];
  } catch {
    throw new UsageError(`--option ${name}: what follows := is no JSON`, `A text is ${name}=TEXT.`);
  }
}

async function fromFile(path: string, name: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new UsageError(`--option ${name}: ${clean(path)} cannot be read (${systemCode(error) ?? "unreadable"})`);
  });
  if (text.length > LARGEST) throw new UsageError(`--option ${name}: ${clean(path)} is larger than ${LARGEST} characters`);
  // what goes to a broker must not be what never leaves this machine
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text))
    throw new UsageError(`--option ${name}: ${clean(path)} is a private key`, "Send the public half, or the signing request.");
  return text.replace(/\r?\n$/, "");
}
