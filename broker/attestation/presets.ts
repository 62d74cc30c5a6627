import type { PresetName } from "../policy/policy.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** What is known of a kind of identity provider. Pure data: the loader takes defaults from it, the linter its knowledge of claims. */
export interface Preset {
  /** Signature algorithms accepted unless the trust says otherwise. */
  readonly algorithms: readonly string[];
  /** Default templates. No `task`: the platform names no single job, so every request opens a task of its own. */
  readonly id: string;
  readonly workload: string;
  readonly task: string | undefined;
  /** 1: the platform makes a fresh token for every call. 100: it hands the same token out again (CORE, Evidence). */
  readonly maxUses: 1 | 100;
  /** A token older than this since `iat` is refused, whatever its `exp`, in milliseconds. */
  readonly maxAgeMs: number;
  /**
   * Sets of claims (names or JSON Pointers); conditions on every member of one set bind a rule to an owner.
   * Each member is an anchor claim for the candidate rule.
   */
  readonly anchors: readonly (readonly string[])[];
  /** Claims whose values compare without regard to case, because the platform does. Never git refs. */
  readonly foldsCase: readonly string[];
  /** Every claim the platform is known to send, for spelling hints. `prefixes` are open-ended families. */
  readonly claims: readonly string[];
  readonly prefixes: readonly string[];
  /** Immutable identifiers. */
  readonly idClaims: readonly string[];
  /** Names that may be renamed, released and taken by somebody else, or set by whoever starts the run. */
  readonly mutableClaims: readonly string[];
  /** Triggers that let an outsider start or feed a run that carries the owner's identity. */
  readonly unsafeEvents: { readonly claim: string; readonly values: readonly string[] } | undefined;
}

/** Every algorithm a trust may name: asymmetric only; `none` and HS* have no place here. `EdDSA` is the old name of `Ed25519`. */
export const ALLOWED_ALGORITHMS: readonly string[] = [
  "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA",
];

/** Uses of one token where its platform hands it out more than once. */
export const CACHED_EVIDENCE_USES = 100;

const REGISTERED = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti"];
const NAMESPACE = "/kubernetes.io/namespace";
const ACCOUNT = "/kubernetes.io/serviceaccount/name";
const ACCOUNT_UID = "/kubernetes.io/serviceaccount/uid";
const CIRCLE = "oidc.circleci.com/";

/** STANDARDS section 13: what each platform's tokens say and which of it can be relied upon. */
export const PRESET_TABLE: Readonly<Record<PresetName, Preset>> = {
  github: {
    algorithms: ["RS256"],
    id: "${repository_id}",
    workload: "github/${repository}",
    task: "${run_id}.${run_attempt}.${check_run_id}",
    maxUses: 1,
    maxAgeMs: 10 * MINUTE,
    anchors: [["repository_id"]],
    foldsCase: ["repository", "repository_owner", "environment"],
    claims: [
      ...REGISTERED, "actor", "actor_id", "base_ref", "check_run_id", "enterprise", "enterprise_id", "environment", "environment_node_id",
      "event_name", "head_ref", "job_workflow_ref", "job_workflow_sha", "ref", "ref_protected", "ref_type", "repository", "repository_id",
      "repository_owner", "repository_owner_id", "repository_visibility", "run_attempt", "run_id", "run_number", "runner_environment",
      "sha", "workflow", "workflow_ref", "workflow_sha",
    ],
    prefixes: ["repo_property_"],
    idClaims: ["repository_id", "repository_owner_id", "enterprise_id", "actor_id"],
    mutableClaims: ["sub", "repository", "repository_owner", "enterprise", "actor", "workflow", "workflow_ref", "job_workflow_ref", "head_ref"],
    unsafeEvents: {
      claim: "event_name",
      values: [
        "pull_request_target", "workflow_run", "issue_comment", "issues", "discussion", "discussion_comment", "fork", "watch",
        "pull_request_review", "pull_request_review_comment", "pull_request_comment", "gollum",
      ],
    },
  },
  gitlab: {
    algorithms: ["RS256"],
    id: "${project_id}",
    workload: "gitlab/${project_path}",
    task: "${pipeline_id}.${job_id}",
    maxUses: 100,
    maxAgeMs: 24 * HOUR, // a job's token lives as long as the job may
    anchors: [["project_id"]],
    foldsCase: [],
    claims: [
      ...REGISTERED, "namespace_id", "namespace_path", "project_id", "project_path", "project_visibility", "user_id", "user_login", "user_email",
      "user_access_level", "user_identities", "groups_direct", "pipeline_id", "pipeline_source", "job_id", "ref", "ref_type", "ref_path",
      "ref_protected", "environment", "environment_protected", "environment_action", "deployment_tier", "runner_id", "runner_environment",
      "sha", "ci_config_ref_uri", "ci_config_sha", "job_project_id", "job_project_path", "job_namespace_id", "job_namespace_path",
      "job_source", "job_config",
    ],
    prefixes: [],
    idClaims: ["project_id", "namespace_id", "user_id", "job_project_id", "job_namespace_id"],
    mutableClaims: ["sub", "project_path", "namespace_path", "user_login", "user_email", "job_project_path", "job_namespace_path", "groups_direct", "ci_config_ref_uri"],
    unsafeEvents: { claim: "pipeline_source", values: ["merge_request_event", "external_pull_request_event"] },
  },
  buildkite: {
    algorithms: ["RS256"],
    id: "${sub}",
    workload: "buildkite/${organization_slug}/${pipeline_slug}",
    task: "${job_id}",
    maxUses: 1,
    maxAgeMs: 10 * MINUTE,
    // One issuer serves every organisation; ids are claims that the job asks for.
    anchors: [
      ["organization_slug", "pipeline_slug"], ["organization_id", "pipeline_id"],
      ["organization_slug", "pipeline_id"], ["organization_id", "pipeline_slug"],
    ],
    foldsCase: [],
    claims: [
      ...REGISTERED, "organization_slug", "organization_id", "pipeline_slug", "pipeline_id", "build_number", "build_branch", "build_tag",
      "build_commit", "build_source", "build_id", "step_key", "job_id", "agent_id", "cluster_id", "cluster_name", "queue_id", "queue_key", "runner_environment",
    ],
    prefixes: ["agent_tag:"],
    idClaims: ["organization_id", "pipeline_id", "cluster_id"],
    mutableClaims: ["sub", "build_branch", "build_tag", "step_key", "cluster_name", "queue_key"],
    unsafeEvents: undefined,
  },
  circleci: {
    algorithms: ["RS256"],
    id: "${sub}",
    workload: `circleci/\${${CIRCLE}project-id}`,
    task: undefined, // it names the pipeline, not the job
    maxUses: 100,
    maxAgeMs: HOUR,
    anchors: [[`${CIRCLE}project-id`]], // the organisation is in the issuer
    foldsCase: [],
    claims: [
      ...REGISTERED,
      ...["project-id", "org-id", "pipeline-id", "pipeline-definition-id", "vcs-origin", "vcs-ref", "context-ids", "ssh-rerun"].map((name) => CIRCLE + name),
    ],
    prefixes: [CIRCLE],
    idClaims: [`${CIRCLE}project-id`, `${CIRCLE}org-id`, `${CIRCLE}context-ids`, `${CIRCLE}pipeline-definition-id`],
    mutableClaims: [`${CIRCLE}vcs-origin`, `${CIRCLE}vcs-ref`],
    unsafeEvents: undefined,
  },
  kubernetes: {
    algorithms: ["RS256", "ES256", "ES384", "ES512"],
    id: `\${${NAMESPACE}}/\${${ACCOUNT}}`,
    workload: `kubernetes/\${${NAMESPACE}}/\${${ACCOUNT}}`,
    task: "${/kubernetes.io/pod/uid}",
    maxUses: 100,
    maxAgeMs: 24 * HOUR,
    anchors: [[NAMESPACE, ACCOUNT], ["sub"], [NAMESPACE, ACCOUNT_UID]],
    foldsCase: [],
    claims: [
      ...REGISTERED, "kubernetes.io", NAMESPACE, ACCOUNT, ACCOUNT_UID, "/kubernetes.io/pod/name", "/kubernetes.io/pod/uid",
      "/kubernetes.io/node/name", "/kubernetes.io/node/uid", "/kubernetes.io/secret/name", "/kubernetes.io/secret/uid", "/kubernetes.io/warnafter",
    ],
    prefixes: [],
    idClaims: [NAMESPACE, ACCOUNT, ACCOUNT_UID, "sub", "/kubernetes.io/pod/uid", "/kubernetes.io/node/uid"],
    mutableClaims: ["/kubernetes.io/pod/name", "/kubernetes.io/node/name"],
    unsafeEvents: undefined,
  },
  google: {
    algorithms: ["RS256"],
    id: "${sub}",
    workload: "google/${sub}",
    task: undefined,
    maxUses: 1,
    maxAgeMs: HOUR,
    anchors: [["sub"]],
    foldsCase: [],
    claims: [
      ...REGISTERED, "email", "email_verified", "azp", "hd", "google",
      ...["project_id", "project_number", "zone", "instance_id", "instance_name", "instance_creation_timestamp", "license_id"].map((name) => `/google/compute_engine/${name}`),
    ],
    prefixes: [],
    idClaims: ["sub", "/google/compute_engine/project_number", "/google/compute_engine/instance_id"],
    mutableClaims: ["email", "azp", "hd", "/google/compute_engine/instance_name"],
    unsafeEvents: undefined,
  },
  azure: {
    algorithms: ["RS256"],
    id: "${sub}",
    workload: "azure/${oid}",
    task: undefined,
    maxUses: 1,
    maxAgeMs: 25 * HOUR, // managed identities: 24 h, dated back five minutes
    // `oid` is one service principal of the tenant that the issuer names; `sub` may differ from application to application.
    anchors: [["oid"]],
    foldsCase: [],
    claims: [...REGISTERED, "oid", "tid", "appid", "azp", "appidacr", "azpacr", "idp", "idtyp", "xms_mirid", "xms_az_rid", "roles", "ver", "uti", "aio", "rh"],
    prefixes: ["xms_"],
    idClaims: ["oid", "tid", "appid", "azp", "sub"],
    mutableClaims: ["xms_mirid", "xms_az_rid", "roles"],
    unsafeEvents: undefined,
  },
  spiffe: {
    algorithms: ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"],
    id: "${sub}",
    workload: "${sub}",
    task: undefined,
    maxUses: 100,
    maxAgeMs: 24 * HOUR,
    anchors: [["sub"]],
    foldsCase: [],
    claims: REGISTERED,
    prefixes: [],
    idClaims: ["sub"],
    mutableClaims: [],
    unsafeEvents: undefined,
  },
  generic: {
    algorithms: ["RS256", "PS256", "ES256", "ES384", "Ed25519"],
    id: "${sub}",
    workload: "generic/${sub}",
    task: undefined,
    maxUses: 1,
    maxAgeMs: 10 * MINUTE,
    anchors: [["sub"]],
    foldsCase: [],
    claims: [], // unknown: no spelling hints
    prefixes: [],
    idClaims: ["sub"],
    mutableClaims: ["email", "name", "preferred_username", "nickname"],
    unsafeEvents: undefined,
  },
};

/** What is known of the preset. */
export const presetOf = (name: PresetName): Preset => PRESET_TABLE[name];

/** Whether a condition on this claim counts as an anchor condition (CORE, Candidates and denials). */
export const isAnchor = (name: PresetName, claim: string): boolean => PRESET_TABLE[name].anchors.some((set) => set.includes(claim));

/** Whether conditions on these claims bind a rule to one owner: all members of some anchor set are there. */
export const isAnchored = (name: PresetName, claims: ReadonlySet<string>): boolean =>
  PRESET_TABLE[name].anchors.some((set) => set.every((claim) => claims.has(claim)));

/** Whether values of this claim compare without regard to case. */
export const foldsCase = (name: PresetName, claim: string): boolean => PRESET_TABLE[name].foldsCase.includes(claim);
