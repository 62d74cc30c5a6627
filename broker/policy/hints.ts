import type { PresetName } from "./policy.ts";

/** What to say of a claim that failed: when it was absent, and when it was there with another value. Static, so that it cannot leak. */
interface Hint {
  readonly absent?: string;
  readonly other?: string;
  readonly denied?: string;
}

const GITHUB: Readonly<Record<string, Hint>> = {
  environment: {
    absent: "This token has no environment claim. GitHub adds it only when the job has an environment: key.",
    other: "The job's environment: key names another environment than this grant is for.",
  },
  ref: {
    absent: "This token has no ref claim.",
    other: "The run is for another branch or tag than this grant is for. Pull requests run as refs/pull/N/merge.",
  },
  ref_protected: { other: "The branch or tag of this run is not protected by a branch rule or ruleset." },
  event_name: {
    other: "The run was started by another kind of event than this grant is for.",
    denied: "Runs started by this kind of event are refused, because outsiders can cause or feed them.",
  },
  job_workflow_ref: { other: "The job is defined in another workflow file, or in the same file at another ref." },
  workflow_ref: { other: "The run was started from another workflow file, or from the same file at another ref." },
  runner_environment: { other: "The job runs on another kind of runner than this grant is for (github-hosted or self-hosted)." },
  repository_visibility: { other: "The repository's visibility is not what this grant asks for." },
  actor: { other: "The run was started by somebody this grant is not for.", denied: "Runs started by this actor are refused." },
  sub: { other: "The subject's format changed in 2026 and can be customised per repository; rules should use repository_id." },
};
const GITLAB: Readonly<Record<string, Hint>> = {
  environment: {
    absent: "This token has no environment claim. GitLab adds it only when the job has an environment: key.",
    other: "The job's environment is another one. GitLab compares its names with case.",
  },
  ref_protected: { other: 'The job\'s branch or tag is not protected. GitLab sends this claim as text, "true" or "false".' },
  ref: { other: "The job runs for another branch or tag. A tag and a branch may have the same name; ref_type tells them apart." },
  ref_type: { other: "The job runs for a tag where a branch was asked for, or the other way round." },
  pipeline_source: {
    other: "The pipeline was started in another way than this grant is for.",
    denied: "Pipelines started this way are refused, because outsiders can cause or feed them.",
  },
  job_project_id: {
    absent: "This GitLab does not send job_project_id; it needs 18.4 or later.",
    other: "The job runs in another project than its source, as in a merge request from a fork.",
  },
};
const BUILDKITE: Readonly<Record<string, Hint>> = {
  organization_id: { absent: "Ask for it: buildkite-agent oidc request-token --claim organization_id" },
  pipeline_id: { absent: "Ask for it: buildkite-agent oidc request-token --claim pipeline_id" },
  build_branch: { other: "The build is for another branch." },
  build_tag: { absent: "The build is not for a tag." },
};
const CIRCLECI: Readonly<Record<string, Hint>> = {
  "oidc.circleci.com/context-ids": { absent: "The job uses no context.", other: "The job does not use the context this grant asks for." },
  "oidc.circleci.com/ssh-rerun": { other: "Jobs rerun with SSH are refused.", denied: "Jobs rerun with SSH are refused." },
};
const KUBERNETES: Readonly<Record<string, Hint>> = {
  "/kubernetes.io/serviceaccount/uid": { other: "The service account was deleted and made again since the rule was written." },
  "/kubernetes.io/pod/name": { absent: "The token is not bound to a pod. Use a projected volume (serviceAccountToken)." },
  "/kubernetes.io/pod/uid": { absent: "The token is not bound to a pod. Use a projected volume (serviceAccountToken)." },
};
const GOOGLE: Readonly<Record<string, Hint>> = {
  "/google/compute_engine/instance_id": { absent: "Ask the metadata server with format=full." },
  "/google/compute_engine/project_number": { absent: "Ask the metadata server with format=full." },
  email_verified: { other: "The e-mail address is not verified." },
};
const AZURE: Readonly<Record<string, Hint>> = {
  xms_mirid: { absent: "The token is not one of a managed identity." },
  oid: { other: "Another service principal or managed identity asked than this grant is for." },
};
const HINTS: Readonly<Partial<Record<PresetName, Readonly<Record<string, Hint>>>>> = {
  github: GITHUB,
  gitlab: GITLAB,
  buildkite: BUILDKITE,
  circleci: CIRCLECI,
  kubernetes: KUBERNETES,
  google: GOOGLE,
  azure: AZURE,
};

/** A sentence that helps with a failed claim of a platform; undefined where there is nothing to say. */
export function hintFor(preset: PresetName, claim: string, absent: boolean, effect: "allow" | "deny"): string | undefined {
  const hints = HINTS[preset];
  const hint = hints !== undefined && Object.hasOwn(hints, claim) ? hints[claim] : undefined;
  if (effect === "deny") return hint?.denied;
  return absent ? (hint?.absent ?? hint?.other) : hint?.other;
}
