import { VerifyError } from "./errors.ts";

/** How a token was presented: what proofs of possession and logs need to know of the request. */
export interface Presentation {
  /** Authorization scheme: `Bearer`, or `DPoP` (RFC 9449). */
  readonly scheme: "Bearer" | "DPoP";
  readonly token: string;
  readonly method?: string | undefined;
  /** The request's URL as this server was asked, with its query; the origin may not be believed. */
  readonly url?: string | undefined;
  /** A header's value, several joined by `, `; null or undefined when there is none. */
  readonly header?: ((name: string) => string | null | undefined) | undefined;
  /** DER of the client's certificate, from our own TLS or a trusted proxy. */
  readonly certificate?: Uint8Array | undefined;
  /** Where the request came from, for use reports. */
  readonly source?: string | undefined;
  /** The route it is for, as a pattern, for use reports. */
  readonly route?: string | undefined;
  /** The adapter says itself that the token was used, by `used`, once it knows for which route. */
  readonly reportsItself?: boolean | undefined;
}

const CREDENTIALS = /^(bearer|dpop) +([A-Za-z0-9._~+/=-]+) *$/i;
const SCHEME = /^(?:bearer|dpop)(?:$|[ ,])/i;

/**
 * The scheme and token of an Authorization header. Throws `no_token` for none or another scheme, `two_transports` for two headers
 * joined into one, `malformed_request` for what only looks like one.
 */
export function readAuthorization(header: string | null | undefined): { readonly scheme: "Bearer" | "DPoP"; readonly token: string } {
  if (header == null || header === "") throw new VerifyError("no_token");
  const [, scheme, token] = CREDENTIALS.exec(header) ?? [];
  if (scheme !== undefined && token !== undefined) return { scheme: scheme.toLowerCase() === "dpop" ? "DPoP" : "Bearer", token };
  if (/(?:^|,\s*)(?:bearer|dpop) .*,\s*(?:bearer|dpop) /i.test(header)) throw new VerifyError("two_transports");
  throw new VerifyError(SCHEME.test(header) ? "malformed_request" : "no_token");
}

/** A token in a URL ends in logs and histories: refused whether or not there is one in the header too (RFC 9700 section 4.3.2). */
export function refuseQueryToken(url: string): void {
  const query = url.indexOf("?");
  if (query === -1) return;
  const names = new URLSearchParams(url.slice(query + 1).split("#")[0]);
  if (names.has("access_token")) throw new VerifyError("query_token");
}

/** How a web-standard request presents its token. Throws VerifyError. */
export function presentationOf(request: Request): Presentation {
  refuseQueryToken(request.url);
  const { scheme, token } = readAuthorization(request.headers.get("authorization"));
  return { scheme, token, method: request.method, url: request.url, header: (name) => request.headers.get(name) };
}
