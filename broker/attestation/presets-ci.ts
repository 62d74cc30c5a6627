import { HOUR_MS, type Preset, REGISTERED_CLAIMS, TEN_MINUTES_MS, words } from "./preset.ts";

const CIRCLE = "oidc.circleci.com/";
const circle = (names: string): readonly string[] => words(names).map((name) => CIRCLE + name);

/** Tokens of GitHub Actions, one for each request. */
export const GITHUB: Preset = {
  algorithms: ["RS256"],
  id: "${repository_id}",
  workload: "github/${repository}",
  task: "${run_id}.${run_attempt}.${check_run_id}",
  maxUses: 1,
  maxAgeMs: TEN_MINUTES_MS,
  anchors: [["repository_id"]],
  foldsCase: ["repository", "repository_owner", "environment"],
  claims:
    words(`${REGISTERED_CLAIMS.join(" ")} actor actor_id base_ref check_run_id enterprise enterprise_id environment environment_node_id
    event_name head_ref job_workflow_ref job_workflow_sha ref ref_protected ref_type repository repository_id repository_owner
    repository_owner_id repository_visibility run_attempt run_id run_number runner_environment sha workflow workflow_ref workflow_sha`),
  prefixes: ["repo_property_"],
  idClaims: words("repository_id repository_owner_id enterprise_id actor_id"),
  mutableClaims: words("sub repository repository_owner enterprise actor workflow workflow_ref job_workflow_ref head_ref"),
  unsafeEvents: {
    claim: "event_name",
    values: words(`pull_request_target workflow_run issue_comment issues discussion discussion_comment fork watch
      pull_request_review pull_request_review_comment pull_request_comment gollum`),
  },
};

/** GitLab CI's ID tokens, which stand in the job's environment. */
export const GITLAB: Preset = {
  algorithms: ["RS256"],
  id: "${project_id}",
  workload: "gitlab/${project_path}",
  task: "${pipeline_id}.${job_id}",
  maxUses: 100,
  maxAgeMs: 24 * HOUR_MS, // a job's token lives as long as the job may
  anchors: [["project_id"]],
  foldsCase: [],
  claims: words(`${REGISTERED_CLAIMS.join(" ")} namespace_id namespace_path project_id project_path project_visibility user_id user_login
    user_email user_access_level user_identities groups_direct pipeline_id pipeline_source job_id ref ref_type ref_path ref_protected
    environment environment_protected environment_action deployment_tier runner_id runner_environment sha ci_config_ref_uri ci_config_sha
    job_project_id job_project_path job_namespace_id job_namespace_path job_source job_config`),
  prefixes: [],
  idClaims: words("project_id namespace_id user_id job_project_id job_namespace_id"),
  mutableClaims: words(`sub project_path namespace_path user_login user_email job_project_path job_namespace_path groups_direct
    ci_config_ref_uri`),
  unsafeEvents: { claim: "pipeline_source", values: ["merge_request_event", "external_pull_request_event"] },
};

/** One issuer serves every organisation, and ids are there only when the job asks for them. */
export const BUILDKITE: Preset = {
  algorithms: ["RS256"],
  id: "${sub}",
  workload: "buildkite/${organization_slug}/${pipeline_slug}",
  task: "${job_id}",
  maxUses: 1,
  maxAgeMs: TEN_MINUTES_MS,
  anchors: [
    ["organization_slug", "pipeline_slug"],
    ["organization_id", "pipeline_id"],
    ["organization_slug", "pipeline_id"],
    ["organization_id", "pipeline_slug"],
  ],
  foldsCase: [],
  claims: words(`${REGISTERED_CLAIMS.join(" ")} organization_slug organization_id pipeline_slug pipeline_id build_number build_branch
    build_tag build_commit build_source build_id step_key job_id agent_id cluster_id cluster_name queue_id queue_key runner_environment`),
  prefixes: ["agent_tag:"],
  idClaims: words("organization_id pipeline_id cluster_id"),
  mutableClaims: words("sub build_branch build_tag step_key cluster_name queue_key"),
  unsafeEvents: undefined,
};

/** The organisation is in the issuer. */
export const CIRCLECI: Preset = {
  algorithms: ["RS256"],
  id: "${sub}",
  workload: `circleci/\${${CIRCLE}project-id}`,
  task: undefined, // it names the pipeline, not the job
  maxUses: 100,
  maxAgeMs: HOUR_MS,
  anchors: [[`${CIRCLE}project-id`]],
  foldsCase: [],
  claims: [
    ...REGISTERED_CLAIMS,
    ...circle("project-id org-id pipeline-id pipeline-definition-id vcs-origin vcs-ref context-ids ssh-rerun"),
  ],
  prefixes: [CIRCLE],
  idClaims: circle("project-id org-id context-ids pipeline-definition-id"),
  mutableClaims: circle("vcs-origin vcs-ref"),
  unsafeEvents: undefined,
};
