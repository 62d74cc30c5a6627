import { parseSpiffeId } from "../../domain/spiffe-id.ts";

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** What may stand in a common name: nothing that any text form of a distinguished name gives a meaning to. */
const COMMON_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9 ._:@-]{0,62}[A-Za-z0-9._-])?$/;
const PLACEHOLDER = /^\{([a-z]+)\}$/;

/** What a SPIFFE ID may be filled in with; each stands for one whole segment of the path. */
export const PLACEHOLDERS = ["id", "trust", "grant", "task"] as const;
export type Placeholder = (typeof PLACEHOLDERS)[number];

/** Why a host name cannot be certified; undefined when it can. RFC 1123 labels in lower case, RFC 6125 wildcards. */
export function wrongDnsName(name: string, wildcards: boolean): string | undefined {
  if (name.length > 253) return "is longer than 253 characters";
  if (!/^[\x21-\x7e]+$/.test(name)) return "may hold printable ASCII only: it is never converted";
  if (name !== name.toLowerCase()) return "must be written in lower case";
  const wild = name.startsWith("*.");
  if (wild && !wildcards) return "is a wildcard, which the Target does not allow (`wildcards: true`)";
  const labels = (wild ? name.slice(2) : name).split(".");
  if (wild && labels.length < 2) return "is a wildcard for a whole top-level domain";
  if (!labels.every((label) => LABEL.test(label))) return "is no host name: letters, digits and inner dashes between dots";
  if (labels.some((label) => label.startsWith("xn--"))) return "holds an internationalised label, which people cannot tell apart";
  if (/^\d+$/.test(labels.at(-1) ?? "")) return "looks like an address, not like a name";
  return undefined;
}

/** Whether a name is one of the Target's domains or beneath one. */
export const isBeneath = (name: string, domains: readonly string[]): boolean =>
  domains.some((domain) => name === domain || name.endsWith(`.${domain}`));

/** Why a grant's `spiffe_id` cannot be certified; undefined when it can (SPIFFE-ID section 2, X509-SVID section 2). */
export function wrongSpiffeId(template: string, trustDomain: string | undefined): string | undefined {
  if (trustDomain === undefined) return "needs the Target to name its trust domain (`trust_domain`)";
  for (const segment of template.split("/")) {
    const name = PLACEHOLDER.exec(segment)?.[1];
    if (name !== undefined && !PLACEHOLDERS.some((each) => each === name))
      return `holds {${name}}: there are ${PLACEHOLDERS.map((each) => `{${each}}`).join(", ")}`;
  }
  const id = parseSpiffeId(fill(template, () => "x"));
  if (id === undefined || id.path === "")
    return "must be spiffe://trust-domain/path with letters, digits and .-_ between slashes; a {placeholder} is a segment of its own";
  if (id.trustDomain !== trustDomain) return `is outside the Target's trust domain ${trustDomain}`;
  return undefined;
}

/**
 * The SPIFFE ID with its placeholders filled in; undefined when a value is more or less than one segment of a path, so that no
 * subject can name itself out of its place.
 */
export function renderSpiffeId(template: string, values: Readonly<Record<Placeholder, string>>): string | undefined {
  const text = fill(template, (name) => values[name]);
  const id = parseSpiffeId(text);
  return id === undefined || id.path.split("/").length !== template.split("/").length - 2 ? undefined : text;
}

function fill(template: string, value: (name: Placeholder) => string): string {
  const known = (segment: string): Placeholder | undefined => PLACEHOLDERS.find((name) => segment === `{${name}}`);
  return template
    .split("/")
    .map((segment) => {
      const name = known(segment);
      return name === undefined ? segment : value(name);
    })
    .join("/");
}

/** Why this cannot be a common name; undefined when it can. */
export const wrongCommonName = (name: string): string | undefined =>
  COMMON_NAME.test(name) ? undefined : "must be 1 to 64 of A-Z a-z 0-9 and `._:@-` or inner blanks, beginning with a letter or digit";
