import type { Verifier } from "./verifier.ts";

/** What a resource server says about itself (RFC 9728 section 2). */
export interface ResourceMetadata {
  readonly resource: string;
  readonly authorization_servers: readonly string[];
  readonly bearer_methods_supported: readonly ["header"];
  readonly [member: string]: unknown;
}

export interface ResourceMetadataOptions {
  /** The URL clients use for this server; the audience when that is one. */
  readonly resource?: string;
  readonly scopes?: readonly string[];
  readonly name?: string;
  readonly documentation?: string;
}

/** The document, and the path it belongs at: `/.well-known/oauth-protected-resource` before the resource's own path. Throws TypeError. */
export function resourceMetadata(
  verifier: Verifier,
  { resource = verifier.audience, scopes, name, documentation }: ResourceMetadataOptions = {},
): { readonly path: string; readonly url: string; readonly document: ResourceMetadata } {
  if (!URL.canParse(resource)) throw new TypeError("resource must be the URL of this server; the audience is none");
  const { origin, pathname } = new URL(resource);
  const path = `/.well-known/oauth-protected-resource${pathname === "/" ? "" : pathname}`;
  const dpop = verifier.confirmations.find(({ scheme }) => scheme === "DPoP")?.challenge?.["algs"];
  const document: ResourceMetadata = {
    resource,
    authorization_servers: [verifier.issuer],
    bearer_methods_supported: ["header"],
    ...(scopes !== undefined && { scopes_supported: scopes }),
    ...(name !== undefined && { resource_name: name }),
    ...(documentation !== undefined && { resource_documentation: documentation }),
    ...(dpop !== undefined && { dpop_signing_alg_values_supported: dpop.split(" ") }),
    ...(verifier.confirmations.some(({ method }) => method === "x5t#S256") && { tls_client_certificate_bound_access_tokens: true }),
  };
  return { path, url: `${origin}${path}`, document };
}
