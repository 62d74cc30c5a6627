import type { CredentialMaterial } from "../../domain/wire.ts";
import { githubHost } from "./github.ts";
import { named, optionalText, textOf, tokenOf, type Answer } from "./material.ts";
import { UnsuitableError } from "./unsuitable.ts";

/** What a person may say about where a user name and a password go. */
export interface Place {
  /** `host` or `host:port`. */
  readonly host?: string;
  readonly username?: string;
}

export interface Login {
  readonly host: string;
  readonly username: string;
  readonly password: string;
}

/** The user name of whoever shows a token instead of a password; servers that take tokens read only the token. */
const TOKEN_USER = "x-access-token";

/**
 * A user name and a password for one host: what git, docker and curl take. The host is GitHub's own for its tokens; everything
 * else is given to no host but the one that was named.
 */
export function loginOf({ credential }: Pick<Answer, "credential">, place: Place): Login {
  const host = place.host ?? hostOf(credential);
  if (host === undefined)
    throw new UnsuitableError(`for which host is the ${named(credential)} credential?`, "Say it: --host registry.example.com");
  if (!/^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?$/.test(host))
    throw new UnsuitableError("the host is not a name with or without a port", "For example --host git.example.com:8443");
  return { host: host.toLowerCase(), ...pairOf(credential, place.username) };
}

/** The host that a credential is for by its own word. */
export const hostOf = (material: CredentialMaterial): string | undefined =>
  material.type === "github_token" ? githubHost(material) : undefined;

function pairOf(material: CredentialMaterial, asked: string | undefined): { readonly username: string; readonly password: string } {
  const token = tokenOf(material);
  if (token !== undefined) return { username: asked ?? optionalText(material, "username") ?? TOKEN_USER, password: token };
  if (KEYS.has(material.type) || material.type === "postgres")
    throw new UnsuitableError(`a credential of kind ${named(material)} is no user name and password for the web`);
  return { username: asked ?? textOf(material, "username"), password: textOf(material, "password") };
}

const KEYS = new Set(["ssh_certificate", "x509_certificate"]);

/** A line for netrc files, which part words at spaces and know no port. */
export function netrcLine(answer: Answer, place: Place): string {
  const { host, username, password } = loginOf(answer, place);
  for (const word of [username, password])
    if (/[\s"\\#]/.test(word)) throw new UnsuitableError("the user name or password holds a character that netrc files cannot");
  return `machine ${host.replace(/:\d+$/, "")} login ${username} password ${password}\n`;
}

/** An answer to `git credential fill` (git-credential, "INPUT/OUTPUT FORMAT"). */
export function gitAnswer(answer: Answer, place: Place): string {
  const { host, username, password } = loginOf(answer, place);
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000\r\n]/.test(username + password)) throw new UnsuitableError("the user name or password has several lines");
  const expiry = Math.floor(Date.parse(answer.expires_at) / 1000);
  const members = { protocol: "https", host, username, password, password_expiry_utc: expiry };
  return Object.entries(members)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

/** An answer of a docker credential helper to `get`. */
export function dockerAnswer(answer: Answer, place: Place, serverUrl?: string): string {
  const { host, username, password } = loginOf(answer, place);
  return `${JSON.stringify({ ServerURL: serverUrl ?? host, Username: username, Secret: password })}\n`;
}
