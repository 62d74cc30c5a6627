import { z } from "zod";
import { LIMITS, REVOCATIONS } from "../lease.ts";
import { WireBind, WireLeaseId, WireName, WirePurpose, WireTaskId, WireTime } from "./common.ts";

/** One compact token is 16 KiB at most. */
export const MAX_TOKEN_CHARS = 16_384;
export const TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
export const TOKEN_TYPES = {
  jwt: "urn:ietf:params:oauth:token-type:jwt",
  idToken: "urn:ietf:params:oauth:token-type:id_token",
  accessToken: "urn:ietf:params:oauth:token-type:access_token",
} as const;

const token = z
  .string()
  .min(1)
  .max(MAX_TOKEN_CHARS)
  .regex(/^[\x21-\x7e]+$/, "expected a token without spaces");
const short = z.string().min(1).max(256);
const resource = z.string().min(1).max(2048);

/** Form of POST /oauth2/token (RFC 8693 section 2.1). Unknown parameters are ignored (RFC 6749 section 3.2), so it is not strict. */
export const TokenForm = z
  .object({
    grant_type: short,
    subject_token: token.optional(),
    subject_token_type: short.optional(),
    actor_token: token.optional(),
    actor_token_type: short.optional(),
    requested_token_type: short.optional(),
    resource: z.array(resource).max(8).optional(),
    audience: z.array(resource).max(8).optional(),
    scope: z.string().max(4096).optional().meta({ description: "At most one grant:NAME; the rest are asked scopes." }),
    client_id: short.optional(),
    ttl: z.string().max(32).optional().meta({ description: 'A span such as "10m", or a number of seconds.' }),
    purpose: WirePurpose.optional(),
    environment: z.string().min(1).max(256).optional(),
    bind: WireBind.optional(),
  })
  .meta({ id: "TokenForm" });
export type TokenForm = z.infer<typeof TokenForm>;

/** Answer of POST /oauth2/token (RFC 8693 section 2.2.1) with our own members. */
export const TokenView = z
  .strictObject({
    access_token: z.string(),
    issued_token_type: z.string(),
    token_type: z
      .enum(["Bearer", "DPoP", "N_A"])
      .meta({ description: "N_A: no access token, but one for a relying party (RFC 8693 section 2.2.1)." }),
    expires_in: z.int().positive(),
    scope: z.string(),
    lease_id: WireLeaseId,
    task_id: WireTaskId,
    task_token: z.string(),
    expires_at: WireTime,
    limited_by: z.enum(LIMITS),
    dead_by: WireTime,
    revocation: z.enum(REVOCATIONS),
    issuer: z.string().optional().meta({ description: "The target, or `jwt`." }),
    credential: z
      .looseObject({ type: z.string() })
      .optional()
      .meta({ description: "What it is, and what may be seen of it, beside the token itself." }),
  })
  .meta({ id: "TokenResponse" });
export type TokenView = z.infer<typeof TokenView>;

/** Form of POST /oauth2/introspect (RFC 7662). The credentials may stand here (client_secret_post) or in Authorization. */
export const IntrospectForm = z
  .object({
    token: z.string().min(1).max(MAX_TOKEN_CHARS),
    token_type_hint: short.optional(),
    client_id: WireName.optional(),
    client_secret: z.string().min(1).max(512).optional(),
  })
  .meta({ id: "IntrospectForm" });
export type IntrospectForm = z.infer<typeof IntrospectForm>;

/** RFC 7662 section 2.2. Whatever is not active, or not for the asker's audience, is exactly `{"active":false}`. */
export const IntrospectionView = z
  .union([
    z.strictObject({ active: z.literal(false) }),
    z.looseObject({
      active: z.literal(true),
      iss: z.string(),
      sub: z.string(),
      aud: z.union([z.string(), z.array(z.string())]),
      client_id: z.string().optional(),
      scope: z.string().optional(),
      exp: z.int(),
      iat: z.int(),
      nbf: z.int().optional(),
      jti: z.string(),
      token_type: z.string(),
      lease_id: z.string(),
      task_id: z.string(),
      grant: z.string(),
      workload: z.string(),
      purpose: z.string().optional(),
      cnf: z.record(z.string(), z.string()).optional().meta({ description: "The key that the token is bound to." }),
    }),
  ])
  .meta({ id: "Introspection" });
export type IntrospectionView = z.infer<typeof IntrospectionView>;

/** Form of POST /oauth2/revoke (RFC 7009). */
export const RevokeForm = z
  .object({ token: z.string().min(1).max(MAX_TOKEN_CHARS), token_type_hint: short.optional() })
  .meta({ id: "RevokeForm" });
export type RevokeForm = z.infer<typeof RevokeForm>;

/** Both metadata documents (RFC 8414, OpenID Connect Discovery). */
export const MetadataView = z
  .looseObject({
    issuer: z.string(),
    token_endpoint: z.string(),
    introspection_endpoint: z.string(),
    revocation_endpoint: z.string(),
    jwks_uri: z.string(),
    response_types_supported: z.array(z.string()),
    subject_types_supported: z.array(z.string()),
    id_token_signing_alg_values_supported: z.array(z.string()),
    grant_types_supported: z.array(z.string()),
    token_endpoint_auth_methods_supported: z.array(z.string()),
    dpop_signing_alg_values_supported: z.array(z.string()),
    tls_client_certificate_bound_access_tokens: z.boolean(),
    status_list_aggregation_endpoint: z.string(),
  })
  .meta({ id: "Metadata" });
export type MetadataView = z.infer<typeof MetadataView>;

/** RFC 7517 key set: public parameters only. */
export const JwksView = z
  .strictObject({ keys: z.array(z.looseObject({ kty: z.string(), kid: z.string(), alg: z.string(), use: z.literal("sig") })) })
  .meta({ id: "Jwks" });
export type JwksView = z.infer<typeof JwksView>;

/** Query of GET /status/{id}. Unknown members are ignored: the URI is handed to verifiers that we know nothing of. */
export const StatusQuery = z.object({ time: z.string().optional() }).meta({ id: "StatusQuery" });
export type StatusQuery = z.infer<typeof StatusQuery>;

/** Status List Aggregation (draft-ietf-oauth-status-list-21 section 9.3). */
export const StatusListsView = z.strictObject({ status_lists: z.array(z.string()) }).meta({ id: "StatusLists" });
export type StatusListsView = z.infer<typeof StatusListsView>;
