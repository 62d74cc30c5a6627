import type { CiName } from "./names.ts";
import type { Answers, Platform } from "./platform.ts";
import { quoted } from "./yaml.ts";

/** The command in a job. */
const exec = (grant: string): string => `stint exec --for ${grant}=DEPLOY_TOKEN -- ./deploy.sh`;

function github({ repositoryId, environment, grant, url }: Answers): Platform {
  const good = { repository_id: repositoryId, environment, event_name: "push", ref: "refs/heads/main" };
  return {
    oidc: ["issuer: https://token.actions.githubusercontent.com", "preset: github"],
    allow: {
      repository_id: quoted(repositoryId),
      environment: quoted(environment),
      ref: "refs/heads/main",
      event_name: "[push, workflow_dispatch]",
    },
    deny: [{ event_name: "[pull_request, pull_request_target, issue_comment, workflow_run]" }],
    good,
    bad: [
      { name: "a pull request does not", change: { event_name: "pull_request", ref: "refs/pull/7/merge" } },
      { name: "another branch does not", change: { ref: "refs/heads/mine" } },
      { name: "a job without the environment does not", change: { environment: undefined } },
      { name: "another repository does not", change: { repository_id: `${repositoryId}0` } },
    ],
    job: [
      "permissions: { id-token: write, contents: read }",
      `environment: ${environment}`,
      `env: { STINT_URL: ${url} }`,
      `run: ${exec(grant)}`,
    ],
  };
}

function gitlab({ projectId, environment, issuer, grant, url }: Answers): Platform {
  return {
    oidc: [`issuer: ${issuer}`, "preset: gitlab"],
    allow: {
      project_id: quoted(projectId),
      environment: quoted(environment),
      ref_protected: quoted("true"),
      pipeline_source: "[push, web]",
    },
    deny: [],
    good: { project_id: projectId, environment, ref_protected: "true", pipeline_source: "push" },
    bad: [
      { name: "a merge request does not", change: { pipeline_source: "merge_request_event", ref_protected: "false" } },
      { name: "an unprotected branch does not", change: { ref_protected: "false" } },
      { name: "another project does not", change: { project_id: `${projectId}0` } },
    ],
    job: [
      `id_tokens: { STINT_ID_TOKEN: { aud: ${url} } }`,
      `environment: ${environment}`,
      `variables: { STINT_URL: ${url} }`,
      `script: ${exec(grant)}`,
      "after_script: stint complete",
    ],
  };
}

function buildkite({ organization, pipeline, grant, url }: Answers): Platform {
  return {
    oidc: ["issuer: https://agent.buildkite.com", "preset: buildkite"],
    allow: { organization_slug: quoted(organization), pipeline_slug: quoted(pipeline), build_branch: "main" },
    deny: [],
    good: { organization_slug: organization, pipeline_slug: pipeline, build_branch: "main" },
    bad: [
      { name: "another branch does not", change: { build_branch: "mine" } },
      { name: "another organisation's pipeline of that name does not", change: { organization_slug: `${organization}x` } },
    ],
    job: [`env: { STINT_URL: ${url} }`, `command: ${exec(grant)}`],
  };
}

function circleci({ organization, projectId, grant, url }: Answers): Platform {
  const project = "oidc.circleci.com/project-id";
  const ref = "oidc.circleci.com/vcs-ref";
  return {
    oidc: [`issuer: https://oidc.circleci.com/org/${organization}`, "preset: circleci"],
    allow: { [project]: quoted(projectId), [ref]: "refs/heads/main" },
    deny: [],
    good: { [project]: projectId, [ref]: "refs/heads/main" },
    bad: [
      { name: "another branch does not", change: { [ref]: "refs/heads/mine" } },
      { name: "another project does not", change: { [project]: `${projectId}0` } },
    ],
    job: [`environment: { STINT_URL: ${url} }`, `command: ${exec(grant)}`],
  };
}

function kubernetes({ namespace, serviceAccount, issuer, grant, url }: Answers): Platform {
  const claims = (space: string, account: string): Record<string, unknown> => ({
    "kubernetes.io": { namespace: space, serviceaccount: { name: account } },
  });
  return {
    oidc: [`issuer: ${issuer}`, "preset: kubernetes"],
    allow: { "/kubernetes.io/namespace": quoted(namespace), "/kubernetes.io/serviceaccount/name": quoted(serviceAccount) },
    deny: [],
    good: claims(namespace, serviceAccount),
    bad: [
      { name: "another service account does not", change: claims(namespace, "default") },
      { name: "its namesake in another namespace does not", change: claims(`${namespace}-x`, serviceAccount) },
    ],
    job: [
      `a projected volume at /var/run/secrets/stint: serviceAccountToken: { audience: ${url}, path: token, expirationSeconds: 600 }`,
      `env: STINT_URL=${url}`,
      exec(grant),
    ],
  };
}

function generic({ issuer, subject, grant, url }: Answers): Platform {
  return {
    oidc: [`issuer: ${issuer}`, "preset: generic"],
    allow: { sub: quoted(subject) },
    deny: [],
    good: { sub: subject },
    bad: [{ name: "somebody else does not", change: { sub: `${subject}-x` } }],
    job: [`STINT_URL=${url} STINT_ID_TOKEN_FILE=/path/to/token ${exec(grant)}`],
  };
}

/** The template of each platform, and the answers it needs (names of options). */
export const PLATFORMS: Readonly<
  Record<CiName, { readonly make: (answers: Answers) => Platform; readonly needs: readonly (keyof Answers)[] }>
> = {
  github: { make: github, needs: ["repositoryId"] },
  gitlab: { make: gitlab, needs: ["projectId"] },
  buildkite: { make: buildkite, needs: ["organization", "pipeline"] },
  circleci: { make: circleci, needs: ["organization", "projectId"] },
  kubernetes: { make: kubernetes, needs: ["namespace", "serviceAccount", "issuer"] },
  generic: { make: generic, needs: ["issuer", "subject"] },
};
