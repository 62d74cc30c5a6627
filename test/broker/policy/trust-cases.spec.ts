import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "@jest/globals";
import { decide } from "../../../broker/policy/decide.ts";
import { specsIf } from "../../support/needs.ts";
import { inputOf, policyOf } from "./support.ts";

interface Case {
  readonly id: string;
  readonly provider: string;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly policyIntent: string;
  readonly expected: "allow" | "deny";
  readonly why: string;
}

const FILE = "../shared/cases/trust-cases.json";
const cases: readonly Case[] = existsSync(FILE) ? (JSON.parse(readFileSync(FILE, "utf8")) as { cases: Case[] }).cases : [];

const MAIN = '{ repository_id: "456789", repository_owner_id: "123456", ref: refs/heads/main, event_name: push';
const GITLAB = '{ project_id: "20", namespace_id: "72", ref: main, ref_type: branch, ref_protected: "true", pipeline_source: push }';

/** What each intent is as a rule: preset and conditions (or, with `when`, an expression too). */
const INTENTS: Readonly<Record<string, { readonly preset: string; readonly claims: string; readonly when?: string }>> = {
  "task T1 may read; actor chain depth <= 2": {
    preset: "generic",
    claims: "{ sub: agent:planner, task_id: T1, scope: db:read }",
    when: "!has(claims.act) || !has(claims.act.act) || !has(claims.act.act.act)",
  },
  "pipeline app, branch main": { preset: "buildkite", claims: "{ organization_slug: acme, pipeline_slug: app, build_branch: main }" },
  "project P1 of organisation ORG1": { preset: "circleci", claims: '{ "oidc.circleci.com/project-id": P1 }' },
  "main branch of octo-org/octo-repo only, by push, repository_id 456789 and owner id 123456": {
    preset: "github",
    claims: `${MAIN}, environment: { not: { glob: "**" } } }`,
  }, // the branch and no environment: a job with one has another subject
  "immutable subject of octo-org (id 123456) / octo-repo (id 456789)": { preset: "github", claims: `${MAIN} }` },
  'environment "Production:V1"': { preset: "github", claims: '{ repository_id: "456789", environment: "production:v1" }' },
  "reusable workflow octo-org/octo-automation oidc.yml@refs/heads/main, called from a repository of owner id 123456": {
    preset: "github",
    claims: '{ repository_owner_id: "123456", job_workflow_ref: octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main }',
  },
  "main branch AND workflow deploy.yml at refs/heads/main": {
    preset: "github",
    claims: `${MAIN}, job_workflow_ref: octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main }`,
  },
  "environment Production": { preset: "github", claims: '{ repository_id: "456789", environment: Production }' },
  "environment Production AND branch main": { preset: "github", claims: `${MAIN}, environment: Production }` },
  "main on github-hosted runners only": { preset: "github", claims: `${MAIN}, runner_environment: github-hosted }` },
  "private repositories of owner id 123456": {
    preset: "github",
    claims: '{ repository_owner_id: "123456", repository_visibility: private }',
  },
  "every project of group acme (namespace_id 72)": { preset: "gitlab", claims: '{ namespace_id: "72" }' },
  "projects directly in group acme": { preset: "gitlab", claims: "{ project_path: { glob: acme/* } }" },
  "project acme/app (project_id 20, namespace_id 72), protected branch main, pipeline_source push": { preset: "gitlab", claims: GITLAB },
  "service account payments/deployer in cluster A": {
    preset: "kubernetes",
    claims: '{ "/kubernetes.io/namespace": payments, "/kubernetes.io/serviceaccount/name": deployer }',
  },
  "service account payments/deployer with uid sa-uid-1": {
    preset: "kubernetes",
    claims:
      '{ "/kubernetes.io/namespace": payments, "/kubernetes.io/serviceaccount/name": deployer, "/kubernetes.io/serviceaccount/uid": sa-uid-1 }',
  },
  "spiffe://prod.example.org/payments/deployer from the bundle of trust domain prod.example.org": {
    preset: "spiffe",
    claims: '{ sub: "spiffe://prod.example.org/payments/deployer" }',
  },
  "any workload of prod.example.org": { preset: "spiffe", claims: '{ sub: { glob: "spiffe://prod.example.org/**" } }' },
  "workspace prod of project core, apply": {
    preset: "generic",
    claims:
      '{ sub: "organization:acme:project:core:workspace:prod:run_phase:apply", terraform_organization_name: acme, terraform_run_phase: apply }',
  },
};

/** Denied before any rule is asked: issuer, audience, replay, and claims that contradict each other belong to attestation. */
const ATTESTATION = new Map([
  ["gh-078", "issuer"],
  ["gh-079", "audience"],
  ["gh-080", "audience"],
  ["gh-083", "replay"],
  ["gl-015", "issuer"],
  ["gl-016", "issuer"],
  ["k8-002", "issuer"],
  ["k8-007", "audience"],
  ["sp-012", "audience"],
]);

const issuerOf: Readonly<Record<string, string>> = { spiffe: "spiffe://prod.example.org", circleci: "https://oidc.circleci.com/org/ORG1" };
const policyFor = (intent: { readonly preset: string; readonly claims: string; readonly when?: string }): ReturnType<typeof policyOf> => {
  // Keys of a SPIFFE trust are a file, which these documents' loading does not look at.
  const keys = intent.preset === "spiffe" ? ", jwks_file: bundle.jwks.json" : "";
  return policyOf(`kind: Trust
name: idp
oidc: { issuer: "${issuerOf[intent.preset] ?? "https://idp.test"}", preset: ${intent.preset}${keys} }
---
kind: Grant
name: deploy
allow:
  - trust: idp
    claims: ${intent.claims}
${intent.when === undefined ? "" : `    when: "${intent.when}"\n`}issue: { issuer: jwt, audience: https://deploy.test }
---
kind: Settings
name: settings
lint: warn
`);
};

specsIf(cases.length > 0, `${FILE} is not here`).describe("the accidents of others", () => {
  it.each(cases.filter(({ id }) => !ATTESTATION.has(id)))("%#: $id $expected: $why", (row) => {
    const intent = INTENTS[row.policyIntent];
    if (intent === undefined) throw new Error(`no rule was written for the intent: ${row.policyIntent}`);
    const decision = decide(policyFor(intent), inputOf({ trust: "idp", claims: row.claims }));
    expect([row.id, decision.allowed ? "allow" : "deny"]).toEqual([row.id, row.expected]);
  });

  it("leave to attestation only what never reaches a rule", () => {
    const known = new Set(cases.map(({ id }) => id));
    expect([...ATTESTATION.keys()].filter((id) => !known.has(id))).toEqual([]);
  });
});
