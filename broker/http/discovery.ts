import { TOKEN_EXCHANGE, JwksView, MetadataView } from "../../domain/wire.ts";
import { PROOF_ALGORITHMS } from "../dpop/proof.ts";
import { route } from "./route.ts";

/** How long others may keep these documents; the schedule of signing keys counts on it. */
export const MAX_AGE_SECONDS = 300;
const CACHED = ["Cache-Control", `public, max-age=${MAX_AGE_SECONDS}`];

/** What a client may discover (RFC 8414, OpenID Connect Discovery). Every URL is made from configuration, never from the Host header. */
export const metadata = (url: string, bindsCertificates: boolean): MetadataView => ({
  issuer: url,
  token_endpoint: `${url}/oauth2/token`,
  introspection_endpoint: `${url}/oauth2/introspect`,
  revocation_endpoint: `${url}/oauth2/revoke`,
  jwks_uri: `${url}/.well-known/jwks.json`,
  // required, and not to be empty; no endpoint of ours takes one
  response_types_supported: ["id_token"],
  subject_types_supported: ["public"],
  id_token_signing_alg_values_supported: ["ES256", "RS256"],
  grant_types_supported: [TOKEN_EXCHANGE],
  token_endpoint_auth_methods_supported: ["none"],
  introspection_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "Bearer"],
  revocation_endpoint_auth_methods_supported: ["none"],
  dpop_signing_alg_values_supported: [...PROOF_ALGORITHMS],
  status_list_aggregation_endpoint: `${url}/status`,
  tls_client_certificate_bound_access_tokens: bindsCertificates,
  claims_supported: [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "client_id",
    "scope",
    "lease_id",
    "task_id",
    "grant",
    "workload",
    "purpose",
    "cnf",
    "status",
  ],
});

const metadataRoute = (path: string, summary: string) =>
  route({
    method: "GET",
    path,
    access: "open",
    shared: true,
    summary,
    answers: { 200: MetadataView },
    handle: (_call, { services, bindsCertificates }) => ({
      status: 200,
      body: metadata(services.url, bindsCertificates),
      headers: CACHED,
    }),
  });

export const discoveryRoutes = [
  metadataRoute("/.well-known/openid-configuration", "OpenID Connect Discovery metadata."),
  metadataRoute("/.well-known/oauth-authorization-server", "Authorization server metadata (RFC 8414)."),
  route({
    method: "GET",
    path: "/.well-known/jwks.json",
    access: "open",
    shared: true,
    summary: "Public keys of the tokens we sign (RFC 7517).",
    answers: { 200: JwksView },
    async handle(_call, { services }) {
      return { status: 200, body: await services.keys.jwks(), headers: CACHED, type: "application/jwk-set+json" };
    },
  }),
];
