import { randomInt } from "node:crypto";
import type { PresetName } from "../../broker/policy/policy.ts";

type ClaimSet = Readonly<Record<string, unknown>>;

/** Claims as each platform sends them for one run, without `iss`, `aud` and times. */
export function presetClaims(preset: PresetName, changes: ClaimSet = {}): ClaimSet {
  return { ...CLAIMS[preset](), ...changes };
}

/** The same GitHub run with the subject that repositories made since July 2026 have. */
export function immutableGithubClaims(changes: ClaimSet = {}): ClaimSet {
  return presetClaims("github", { sub: "repo:octo-org@123456/octo-repo@456789:ref:refs/heads/main", ...changes });
}

const runId = (): string => String(randomInt(1_000_000, 9_000_000));

const CLAIMS: Readonly<Record<PresetName, () => ClaimSet>> = {
  github: () => ({
    sub: "repo:octo-org/octo-repo:ref:refs/heads/main",
    repository: "octo-org/octo-repo",
    repository_id: "456789",
    repository_owner: "octo-org",
    repository_owner_id: "123456",
    repository_visibility: "private",
    ref: "refs/heads/main",
    ref_type: "branch",
    ref_protected: "true",
    event_name: "push",
    workflow: "deploy",
    workflow_ref: "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
    job_workflow_ref: "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
    runner_environment: "github-hosted",
    actor: "alice",
    actor_id: "1001",
    run_id: runId(),
    run_attempt: "1",
    run_number: "12",
    check_run_id: runId(),
    sha: "a".repeat(40),
  }),
  gitlab: () => ({
    sub: "project_path:acme/app:ref_type:branch:ref:main",
    namespace_id: "72",
    namespace_path: "acme",
    project_id: "20",
    project_path: "acme/app",
    user_id: "1",
    user_login: "alice",
    pipeline_id: runId(),
    pipeline_source: "push",
    job_id: runId(),
    ref: "main",
    ref_type: "branch",
    ref_path: "refs/heads/main",
    ref_protected: "true",
    runner_id: 7,
    runner_environment: "gitlab-hosted",
    sha: "b".repeat(40),
  }),
  buildkite: () => ({
    sub: "organization:acme:pipeline:app:ref:refs/heads/main:commit:abc:step:deploy",
    organization_slug: "acme",
    pipeline_slug: "app",
    build_number: 12,
    build_branch: "main",
    build_commit: "abc",
    step_key: "deploy",
    job_id: runId(),
    agent_id: "agent-1",
  }),
  circleci: () => ({
    sub: "org/ORG1/project/P1/user/U1",
    "oidc.circleci.com/project-id": "P1",
    "oidc.circleci.com/vcs-origin": "github.com/octo-org/octo-repo",
    "oidc.circleci.com/vcs-ref": "refs/heads/main",
    "oidc.circleci.com/context-ids": ["C1"],
    jti: undefined,
  }),
  kubernetes: () => ({
    sub: "system:serviceaccount:payments:deployer",
    "kubernetes.io": {
      namespace: "payments",
      serviceaccount: { name: "deployer", uid: "sa-uid-1" },
      pod: { name: "p-0", uid: "pod-uid-1" },
      warnafter: 1,
    },
  }),
  google: () => ({
    sub: "112233445566778899000",
    email: "ci@acme.iam.gserviceaccount.com",
    email_verified: true,
    azp: "112233445566778899000",
  }),
  azure: () => ({
    sub: "0b0b0b0b-0000-4000-8000-00000000000b",
    oid: "0b0b0b0b-0000-4000-8000-00000000000b",
    tid: "11111111-2222-4333-8444-555555555555",
    idtyp: "app",
    ver: "2.0",
  }),
  spiffe: () => ({ iss: undefined, nbf: undefined, jti: undefined, sub: "spiffe://prod.example.org/payments/deployer" }),
  generic: () => ({ sub: "service-1" }),
};
