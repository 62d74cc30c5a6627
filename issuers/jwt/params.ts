import { z } from "zod";
import { federationFaults } from "./federation.ts";

/** Claims that Stint sets itself, or that change what others read in a token: no grant may set them. */
export const RESERVED_CLAIMS: ReadonlySet<string> = new Set([
  "iss",
  "sub",
  "aud",
  "exp",
  "nbf",
  "iat",
  "jti",
  "client_id",
  "scope",
  "lease_id",
  "task_id",
  "grant",
  "workload",
  "purpose",
  "act",
  "may_act",
  "cnf",
  "status",
  "azp",
  "nonce",
  "auth_time",
  "acr",
  "amr",
  "at_hash",
  "c_hash",
  "sid",
  "authorization_details",
  "events",
  "txn",
  "typ",
  "alg",
  "kid",
  "active",
  "token_type",
  "__proto__",
  "constructor",
  "prototype",
]);

/** Extra claims may take this much of a token, in bytes of JSON. */
const MAX_CLAIMS = 4096;

/** RFC 6749 section 3.3. `grant:` would be read as the name of a grant. */
const ScopeToken = z
  .string()
  .regex(/^[\x21\x23-\x5B\x5D-\x7E]{1,128}$/, "must be one scope token of printable ASCII without space, quote or backslash")
  .refine((token) => !token.startsWith("grant:"), {
    error: "must not begin with `grant:`, which names a grant in a request",
  });

/** Whom the token is for: an absolute URI, or a plain name (Google's begin with two slashes). */
const Audience = z
  .string()
  .max(512)
  .refine((text) => isUri(text) || /^(?:\/\/)?[A-Za-z0-9][A-Za-z0-9._:/-]*$/.test(text), {
    error: "must be an absolute URI such as https://deploy.example.com, or a plain name",
  });

function isUri(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:[\x21-\x7e]+$/i.test(text) && !text.includes("#") && URL.canParse(text);
}

const Claims = z.record(z.string().min(1).max(128), z.json()).superRefine((claims, context) => {
  for (const name of Object.keys(claims)) {
    if (RESERVED_CLAIMS.has(name))
      context.addIssue({ code: "custom", path: [name], message: `\`${name}\` is set by Stint and cannot be set by a grant` });
  }
  if (Buffer.byteLength(JSON.stringify(claims)) > MAX_CLAIMS)
    context.addIssue({ code: "custom", message: `extra claims may take ${MAX_CLAIMS} bytes of JSON together` });
});

/** A grant's `issue` settings for `issuer: jwt`. `issuer` is our own: a token for ourselves could be shown to us as evidence. */
export function jwtParams(issuer: string) {
  const shape = z.strictObject({
    audience: Audience.refine((audience) => audience.replace(/\/+$/, "") !== issuer, { error: "must not be this broker's own URL" }),
    scope: z.array(ScopeToken).max(64).default([]),
    claims: Claims.default({}),
    /** `access-token` (RFC 9068) for APIs that know us; `federation` for clouds and clusters that take us for an identity provider. */
    profile: z.enum(["access-token", "federation"]).default("access-token"),
    /** ES256; RS256 for federation, which every relying party takes. */
    alg: z.enum(["ES256", "RS256"]).optional(),
  });
  return shape
    .transform(({ alg, ...params }) => ({ ...params, alg: alg ?? (params.profile === "federation" ? "RS256" : "ES256") }))
    .superRefine((params, context) => {
      if (params.profile !== "federation") return;
      for (const { path, message } of federationFaults(params)) context.addIssue({ code: "custom", path: [...path], message });
    });
}

export type JwtParams = z.output<ReturnType<typeof jwtParams>>;
