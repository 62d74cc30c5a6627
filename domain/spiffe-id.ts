/** A SPIFFE ID, taken apart. `path` is empty for a trust domain's own id, else begins with `/`. */
export interface SpiffeId {
  readonly trustDomain: string;
  readonly path: string;
}

const MAX_BYTES = 2048;
const SCHEME = "spiffe://";
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;

/**
 * Reads a SPIFFE ID by the letter (SPIFFE-ID section 2): lower-case scheme and trust domain, no port, user, query, fragment or
 * percent; no empty, `.` or `..` segment, no trailing slash. No URL parser: those repair what must be refused.
 */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  if (text.length > MAX_BYTES || !text.startsWith(SCHEME)) return undefined;
  const slash = text.indexOf("/", SCHEME.length);
  const trustDomain = slash < 0 ? text.slice(SCHEME.length) : text.slice(SCHEME.length, slash);
  if (!TRUST_DOMAIN.test(trustDomain)) return undefined;
  if (slash < 0) return { trustDomain, path: "" };
  const path = text.slice(slash);
  for (const segment of path.slice(1).split("/")) {
    if (segment === "." || segment === ".." || !SEGMENT.test(segment)) return undefined;
  }
  return { trustDomain, path };
}
