import { HOUR_MS, type Preset, REGISTERED_CLAIMS, TEN_MINUTES_MS, words } from "./preset.ts";

const NAMESPACE = "/kubernetes.io/namespace";
const ACCOUNT = "/kubernetes.io/serviceaccount/name";
const ACCOUNT_UID = "/kubernetes.io/serviceaccount/uid";

/** Projected tokens of service accounts. */
export const KUBERNETES: Preset = {
  algorithms: ["RS256", "ES256", "ES384", "ES512"],
  id: `\${${NAMESPACE}}/\${${ACCOUNT}}`,
  workload: `kubernetes/\${${NAMESPACE}}/\${${ACCOUNT}}`,
  task: "${/kubernetes.io/pod/uid}",
  maxUses: 100,
  maxAgeMs: 24 * HOUR_MS,
  anchors: [[NAMESPACE, ACCOUNT], ["sub"], [NAMESPACE, ACCOUNT_UID]],
  foldsCase: [],
  claims: words(`${REGISTERED_CLAIMS.join(" ")} kubernetes.io ${NAMESPACE} ${ACCOUNT} ${ACCOUNT_UID} /kubernetes.io/pod/name
    /kubernetes.io/pod/uid /kubernetes.io/node/name /kubernetes.io/node/uid /kubernetes.io/secret/name /kubernetes.io/secret/uid
    /kubernetes.io/warnafter`),
  prefixes: [],
  idClaims: [NAMESPACE, ACCOUNT, ACCOUNT_UID, "sub", "/kubernetes.io/pod/uid", "/kubernetes.io/node/uid"],
  mutableClaims: ["/kubernetes.io/pod/name", "/kubernetes.io/node/name"],
  unsafeEvents: undefined,
};

/** ID tokens of service accounts and instances. */
export const GOOGLE: Preset = {
  algorithms: ["RS256"],
  id: "${sub}",
  workload: "google/${sub}",
  task: undefined,
  maxUses: 1,
  maxAgeMs: HOUR_MS,
  anchors: [["sub"]],
  foldsCase: [],
  claims: words(`${REGISTERED_CLAIMS.join(" ")} email email_verified azp hd google /google/compute_engine/project_id
    /google/compute_engine/project_number /google/compute_engine/zone /google/compute_engine/instance_id
    /google/compute_engine/instance_name /google/compute_engine/instance_creation_timestamp /google/compute_engine/license_id`),
  prefixes: [],
  idClaims: ["sub", "/google/compute_engine/project_number", "/google/compute_engine/instance_id"],
  mutableClaims: ["email", "azp", "hd", "/google/compute_engine/instance_name"],
  unsafeEvents: undefined,
};

/** `oid` is one service principal of the tenant that the issuer names; `sub` may differ between applications. */
export const AZURE: Preset = {
  algorithms: ["RS256"],
  id: "${sub}",
  workload: "azure/${oid}",
  task: undefined,
  maxUses: 1,
  maxAgeMs: 25 * HOUR_MS, // managed identities: 24 h, dated back five minutes
  anchors: [["oid"]],
  foldsCase: [],
  claims: words(`${REGISTERED_CLAIMS.join(" ")} oid tid appid azp appidacr azpacr idp idtyp xms_mirid xms_az_rid roles ver uti aio rh`),
  prefixes: ["xms_"],
  idClaims: words("oid tid appid azp sub"),
  mutableClaims: words("xms_mirid xms_az_rid roles"),
  unsafeEvents: undefined,
};

/** JWT-SVIDs. */
export const SPIFFE: Preset = {
  algorithms: words("RS256 RS384 RS512 ES256 ES384 ES512 PS256 PS384 PS512"),
  id: "${sub}",
  workload: "${sub}",
  task: undefined,
  maxUses: 100,
  maxAgeMs: 24 * HOUR_MS,
  anchors: [["sub"]],
  foldsCase: [],
  claims: REGISTERED_CLAIMS,
  prefixes: [],
  idClaims: ["sub"],
  mutableClaims: [],
  unsafeEvents: undefined,
};

/** A provider nothing is known of: no spelling hints, the strictest defaults. */
export const GENERIC: Preset = {
  algorithms: ["RS256", "PS256", "ES256", "ES384", "Ed25519"],
  id: "${sub}",
  workload: "generic/${sub}",
  task: undefined,
  maxUses: 1,
  maxAgeMs: TEN_MINUTES_MS,
  anchors: [["sub"]],
  foldsCase: [],
  claims: [],
  prefixes: [],
  idClaims: ["sub"],
  mutableClaims: words("email name preferred_username nickname"),
  unsafeEvents: undefined,
};
