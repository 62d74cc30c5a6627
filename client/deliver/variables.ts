import type { CredentialMaterial } from "../../domain/wire.ts";
import { named, tokenOf, valueOf, type Answer } from "./material.ts";
import { postgresVariables } from "./postgres.ts";
import { githubVariables } from "./github.ts";
import { UnsuitableError } from "./unsuitable.ts";

/** A grant's name as the beginning of a variable's: `deploy-prod` is DEPLOY_PROD. */
export const variablePrefix = (grant: string): string => `${/^\d/.test(grant) ? "_" : ""}${grant.replaceAll("-", "_").toUpperCase()}`;

/** The variable a grant's credential goes into unless another is named: `deploy-prod` is DEPLOY_PROD_TOKEN. */
export const defaultVariable = (grant: string): string => `${variablePrefix(grant)}_TOKEN`;

export type Variables = Readonly<Record<string, string>>;

/** The variables that tools read for this kind of credential. */
export function variablesOf({ grant, credential }: Answer): Variables {
  switch (credential.type) {
    case "postgres":
      return postgresVariables(credential);
    case "github_token":
      return { ...githubVariables(credential) };
    case "ssh_certificate":
    case "x509_certificate":
      throw new UnsuitableError(
        `a ${named(credential)} credential is files, not variables`,
        credential.type === "ssh_certificate" ? "Use --format ssh --out FILE, or ssh-agent." : "Use --format x509 --out FILE.",
      );
    default:
      return tokenOf(credential) === undefined ? memberVariables(grant, credential) : { [defaultVariable(grant)]: valueOf(credential) };
  }
}

/** Of a kind that no tool knows: one variable for each member, after the grant's name. */
function memberVariables(grant: string, credential: CredentialMaterial): Variables {
  const members = Object.entries(credential).filter(([name]) => name !== "type" && /^[A-Za-z][\w.-]{0,63}$/.test(name));
  return Object.fromEntries(
    members.map(([name, value]) => [
      `${variablePrefix(grant)}_${name.replaceAll(/[.-]/g, "_").toUpperCase()}`,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
}

/** `export NAME='value'` for a shell. */
export const exportLines = (variables: Variables): string =>
  Object.entries(variables)
    .map(([name, value]) => `export ${name}=${shellQuoted(value)}\n`)
    .join("");

/** `NAME="value"` for what reads `.env` files; single quotes where a dollar sign must stay what it is. */
export const dotenvLines = (variables: Variables): string =>
  Object.entries(variables)
    .map(([name, value]) => `${name}=${dotenvQuoted(value)}\n`)
    .join("");

/** One word for a POSIX shell, whatever is in it. */
export const shellQuoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const dotenvQuoted = (text: string): string =>
  text.includes("$") && !/['\n]/.test(text)
    ? `'${text}'`
    : `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
