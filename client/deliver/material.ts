import type { CredentialMaterial, CredentialView } from "../../domain/wire.ts";
import { UnsuitableError } from "./unsuitable.ts";

/** What every shape is made from: the broker's answer for one credential. */
export type Answer = Pick<CredentialView, "grant" | "credential" | "expires_at">;

/** The one text that opens the door, where the kind has one. */
export function tokenOf(material: CredentialMaterial): string | undefined {
  const { token } = material as { readonly token?: unknown };
  return typeof token === "string" ? token : undefined;
}

/** The one text, or all members as JSON. */
export const valueOf = (material: CredentialMaterial): string => tokenOf(material) ?? JSON.stringify(material);

/** True after a renewal that lengthened the credential where it is: there is nothing new to hand over. */
export const keptItsValue = (material: CredentialMaterial): boolean => Object.keys(material).every((name) => name === "type");

/** A member that this shape cannot do without. Answers are read member by member, so that newer ones may carry more. */
export function textOf(material: CredentialMaterial, name: string): string {
  const value = (material as Readonly<Record<string, unknown>>)[name];
  if (typeof value === "number") return String(value);
  if (typeof value === "string" && value !== "") return value;
  throw new UnsuitableError(`the ${named(material)} credential has no ${name}`, "--format json shows what it has.");
}

/** The same, where it may be absent. */
export function optionalText(material: CredentialMaterial, name: string): string | undefined {
  const value = (material as Readonly<Record<string, unknown>>)[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Its type as text that can be shown. */
export const named = (material: CredentialMaterial): string => (/^[\w.-]{1,64}$/.test(material.type) ? material.type : "unknown");

/** Members of the kinds we know that open something; everything else of them may be seen. */
const SECRETS: Readonly<Record<string, readonly string[]>> = {
  jwt: ["token"],
  postgres: ["password"],
  ssh_certificate: ["private_key"],
  x509_certificate: ["private_key"],
  github_token: ["token"],
};

/** Members that are no secret whoever made them. Of a kind that we do not know, everything else is taken for one. */
const PLAIN = new Set(
  ["type", "kind", "host", "port", "database", "user", "username", "url", "api_url", "region", "vhost", "name"].concat([
    "id",
    "key_id",
    "access_key_id",
    "serial",
    "certificate",
    "ca",
    "expires_at",
    "valid_until",
    "token_type",
    "profile",
  ]),
);

/** Whether a member of the credential opens something. */
export function isSecret(material: CredentialMaterial, name: string): boolean {
  const known = Object.hasOwn(SECRETS, material.type) ? SECRETS[material.type] : undefined;
  if (known !== undefined) return known.includes(name);
  return !PLAIN.has(name) || holdsPassword((material as Readonly<Record<string, unknown>>)[name]);
}

/** A maker's `url` may be one to connect with: `amqp://name:password@host`. */
function holdsPassword(value: unknown): boolean {
  return typeof value === "string" && /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*:[^/?#]*@/i.test(value);
}

/** Every text that must not be printed: secret members, and the lines of those that have several. */
export function secretsOf(material: CredentialMaterial): readonly string[] {
  const found = Object.entries(material).flatMap(([name, value]) => (isSecret(material, name) ? textsIn(value) : []));
  return [...new Set(found.flatMap((text) => [text, ...linesOf(text), ...passwordIn(text)]))];
}

/** Short texts and words such as `true` are everywhere: to hide them would hide the rest. */
const SHORTEST = 6;

const textsIn = (value: unknown): readonly string[] => {
  if (typeof value === "string") return value.length >= SHORTEST ? [value] : [];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
};

/** A program that was given a URL prints parts of it. */
function passwordIn(text: string): readonly string[] {
  const [, written = ""] = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*?:([^/?#]*)@/i.exec(text) ?? [];
  return [written, unescaped(written)].filter((each) => each.length >= SHORTEST);
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const linesOf = (text: string): readonly string[] =>
  text.includes("\n") ? text.split(/\r?\n/).filter((line) => line.length >= 16 && !line.startsWith("-----")) : [];
