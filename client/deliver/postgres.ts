import type { CredentialMaterial } from "../../domain/wire.ts";
import { named, optionalText, textOf, type Answer } from "./material.ts";
import { UnsuitableError } from "./unsuitable.ts";

interface Connection {
  readonly host: string;
  readonly port: string;
  readonly database: string;
  readonly username: string;
  readonly password: string;
  readonly sslmode: string | undefined;
}

function connectionOf(material: CredentialMaterial): Connection {
  if (material.type !== "postgres")
    throw new UnsuitableError(`a credential of kind ${named(material)} opens no Postgres database`, "--format json shows what it has.");
  const read = (name: string): string => oneLine(textOf(material, name), name);
  return {
    host: read("host"),
    port: read("port"),
    database: read("database"),
    username: read("username"),
    password: read("password"),
    sslmode: optionalText(material, "sslmode"),
  };
}

/** libpq's variables, without the password: for those who keep it in a file beside. */
export function postgresPlace(material: CredentialMaterial): Readonly<Record<string, string>> {
  const { host, port, database, username, sslmode } = connectionOf(material);
  return {
    PGHOST: host,
    PGPORT: port,
    PGDATABASE: database,
    PGUSER: username,
    ...(sslmode === undefined ? {} : { PGSSLMODE: sslmode }),
  };
}

/** libpq's variables, all of them. */
export function postgresVariables(material: CredentialMaterial): Readonly<Record<string, string>> {
  return { ...postgresPlace(material), PGPASSWORD: connectionOf(material).password };
}

/** A line of a password file: fields with `\` before `:` and `\` (libpq, "The Password File"). */
export function pgpassLine({ credential }: Answer): string {
  const { host, port, database, username, password } = connectionOf(credential);
  return `${[host, port, database, username, password].map((field) => field.replaceAll(/[\\:]/g, "\\$&")).join(":")}\n`;
}

/** A section of a connection service file, named as the grant (libpq, "The Connection Service File"). */
export function pgServiceSection({ grant, credential }: Answer): string {
  const { host, port, database, username, password, sslmode } = connectionOf(credential);
  const members = { host, port, dbname: database, user: username, password, ...(sslmode === undefined ? {} : { sslmode }) };
  const lines = Object.entries(members).map(([name, value]) => {
    // the file has no quotes: what it would trim cannot be said in it
    if (value.trim() !== value) throw new UnsuitableError(`${name} begins or ends with a space, which a service file cannot hold`);
    return `${name}=${value}\n`;
  });
  return `[${grant}]\n${lines.join("")}`;
}

function oneLine(text: string, name: string): string {
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(text)) throw new UnsuitableError(`the credential's ${name} holds a control character`);
  return text;
}
