import { describe, expect, it } from "@jest/globals";
import type { Problem } from "../../../domain/errors.ts";
import { LINT_RULES } from "../../../broker/policy/lint.ts";
import { context, load, NOW } from "./support.ts";

const ISSUERS: Readonly<Record<string, string>> = {
  github: "https://token.actions.githubusercontent.com",
  gitlab: "https://gitlab.com",
  buildkite: "https://agent.buildkite.com",
  circleci: "https://oidc.circleci.com/org/ORG1",
  kubernetes: "https://oidc.cluster-a.test",
  generic: "https://idp.test",
};
const trust = (preset: string, issuer = ISSUERS[preset] ?? "", more = ""): string =>
  `kind: Trust\nname: ${preset}\nowner: team\noidc: { issuer: "${issuer}", preset: ${preset}${more} }\n---\n`;
const grant = (preset: string, claims: string, more = "", rest = ""): string =>
  `${trust(preset)}kind: Grant\nname: deploy\nowner: team\n${more}\nallow:\n  - trust: ${preset}\n    claims: ${claims}\n${rest}\nissue: { issuer: jwt, audience: https://x.test }\n`;
const found = (text: string): Problem[] => load(text).problems.filter(({ rule }) => rule !== undefined && rule !== "no-tests");
const rules = (text: string, severity?: string): string[] =>
  found(text)
    .filter((one) => severity === undefined || one.severity === severity)
    .map(({ rule }) => rule ?? "");
const HIGH = "sensitivity: high\nreview_by: 2027-06-30";

describe("the linter refuses", () => {
  it.each([
    {
      name: "a grant without an owner",
      text: grant("github", '{ repository_id: "1", event_name: push }').replace("name: deploy\nowner: team", "name: deploy"),
      rule: "missing-owner",
    },
    { name: "a trust without an owner", text: trust("github").replace("owner: team\n", ""), rule: "missing-owner" },
    {
      name: "a grant of high sensitivity without a day of review",
      text: grant("github", '{ repository_id: "1", environment: prod, event_name: push }', "sensitivity: high"),
      rule: "missing-review",
    },
    {
      name: "a grant past its day of review",
      text: grant("github", '{ repository_id: "1", event_name: push }', "review_by: 2026-11-24"),
      rule: "review-overdue",
    },
    {
      name: "a rule that knows a repository by name",
      text: grant("github", "{ repository: acme/shop, event_name: push }"),
      rule: "mutable-name-only",
    },
    {
      name: "a rule that knows a repository by its subject",
      text: grant("github", '{ sub: "repo:acme/shop:ref:refs/heads/main" , event_name: push }'),
      rule: "mutable-name-only",
    },
    { name: "a rule that binds to nobody", text: grant("github", "{ environment: production, event_name: push }"), rule: "no-anchor" },
    {
      name: "a rule that binds to an owner only",
      text: grant("github", '{ repository_owner_id: "1", event_name: push }'),
      rule: "no-anchor",
    },
    {
      name: "an anchor that any value meets",
      text: grant("github", '{ repository_id: { not: "1" }, event_name: push }'),
      rule: "no-anchor",
    },
    { name: "a GitLab project by path", text: grant("gitlab", "{ project_path: acme/app }"), rule: "mutable-name-only" },
    {
      name: "a Buildkite pipeline without an organisation",
      text: grant("buildkite", "{ pipeline_slug: app }"),
      rule: "missing-organization",
    },
    {
      name: "a CircleCI rule by what the caller can set",
      text: grant("circleci", '{ "oidc.circleci.com/vcs-origin": github.com/acme/shop }'),
      rule: "mutable-name-only",
    },
    {
      name: "a Kubernetes namespace without an account",
      text: grant("kubernetes", '{ "/kubernetes.io/namespace": payments }'),
      rule: "no-anchor",
    },
    { name: "a generic rule without a subject", text: grant("generic", "{ groups: { includes: x } }"), rule: "no-anchor" },
    {
      name: "a wildcard over everything",
      text: grant("github", '{ repository_id: "1", ref: { glob: "**" }, event_name: push }'),
      rule: "too-broad",
    },
    {
      name: "an expression over everything",
      text: grant("github", '{ repository_id: "1", ref: { regex: "^.*$" }, event_name: push }'),
      rule: "too-broad",
    },
    {
      name: "a prefix that goes on in the middle of a name",
      text: grant("gitlab", '{ project_id: "1", namespace_path: { glob: "acme*" }, ref_protected: "true" }'),
      rule: "open-prefix",
    },
    {
      name: "an expression that goes on in the middle of a name",
      text: grant("generic", '{ sub: { regex: "^svc-a.*$" } }'),
      rule: "open-prefix",
    },
    {
      name: "pull_request_target by name",
      text: grant("github", '{ repository_id: "1", event_name: [push, pull_request_target] }'),
      rule: "unsafe-event",
    },
    {
      name: "pull_request_target by pattern",
      text: grant("github", '{ repository_id: "1", event_name: { glob: "pull_request*" } }'),
      rule: "unsafe-event",
    },
    {
      name: "any event on a grant of high sensitivity",
      text: grant("github", '{ repository_id: "1", environment: production }', HIGH),
      rule: "unsafe-event",
    },
    {
      name: "a GitLab merge request pipeline by name",
      text: grant("gitlab", '{ project_id: "1", pipeline_source: merge_request_event }'),
      rule: "unsafe-event",
    },
    {
      name: "high sensitivity without an environment",
      text: grant("github", '{ repository_id: "1", ref: refs/heads/main, event_name: push }', HIGH),
      rule: "missing-environment",
    },
    {
      name: "a pattern over branches at high sensitivity",
      text: grant(
        "github",
        '{ repository_id: "1", environment: production, ref: { glob: "refs/heads/release/*" }, event_name: push }',
        HIGH,
      ),
      rule: "unowned-branch",
    },
    {
      name: "a workflow at any branch at high sensitivity",
      text: grant(
        "github",
        '{ repository_id: "1", environment: production, job_workflow_ref: { glob: "acme/shop/.github/workflows/deploy.yml@**" }, event_name: push }',
        HIGH,
      ),
      rule: "unowned-branch",
    },
    {
      name: "any GitLab branch at high sensitivity",
      text: grant("gitlab", '{ project_id: "1", environment: production }', HIGH),
      rule: "unprotected-ref",
    },
    {
      name: "a number where the platform sends text",
      text: grant("github", "{ repository_id: 456789, event_name: push }"),
      rule: "wrong-type",
    },
    {
      name: "a boolean where the platform sends text",
      text: grant("gitlab", '{ project_id: "1", ref_protected: true }'),
      rule: "wrong-type",
    },
    {
      name: "a misspelt claim",
      text: grant("github", '{ repositry_id: "1", repository_id: "1", event_name: push }'),
      rule: "unknown-claim",
    },
    {
      name: "a misspelt claim in a deny rule",
      text: grant("github", '{ repository_id: "1", event_name: push }', "", "deny: [{ claims: { evnt_name: x } }]"),
      rule: "unknown-claim",
    },
    { name: "GitHub's own audience", text: trust("github", undefined, ", audience: https://github.com/acme"), rule: "platform-audience" },
    {
      name: "the API server's audience",
      text: trust("kubernetes", undefined, ", audience: https://kubernetes.default.svc"),
      rule: "platform-audience",
    },
    {
      name: "an audience that is the issuer",
      text: trust("gitlab", undefined, ", audience: https://gitlab.com"),
      rule: "platform-audience",
    },
    {
      name: "the issuer of every cluster",
      text: trust("kubernetes", "https://kubernetes.default.svc.cluster.local"),
      rule: "shared-issuer",
    },
    { name: "CircleCI without an organisation", text: trust("circleci", "https://oidc.circleci.com"), rule: "shared-issuer" },
    { name: "a platform under another preset", text: trust("generic", ISSUERS["github"]), rule: "wrong-preset" },
    { name: "an id made of names", text: trust("github").replace("---\n", 'id: "${repository}"\n'), rule: "mutable-id" },
    { name: "an id that is the same for all", text: trust("github").replace("---\n", "id: everybody\n"), rule: "mutable-id" },
  ])("$name", ({ text, rule }) => {
    expect(rules(text, "error")).toContain(rule);
    expect(load(text).policy).toBeUndefined();
    const problem = found(text).find((one) => one.rule === rule);
    expect(problem).toMatchObject({
      file: "policy.yaml",
      line: expect.any(Number),
      column: expect.any(Number),
      help: expect.stringContaining(`accept: { ${rule}:`),
    });
  });
});

describe("the linter warns of", () => {
  it.each([
    {
      name: "a day of review that is near",
      text: grant("github", '{ repository_id: "1", event_name: push }', "review_by: 2026-12-10"),
      rule: "review-soon",
    },
    { name: "unsafe events that are not excluded", text: grant("github", '{ repository_id: "1" }'), rule: "unsafe-event" },
    {
      name: "a pattern over branches",
      text: grant("github", '{ repository_id: "1", ref: { glob: "refs/heads/release/*" }, event_name: push }'),
      rule: "unowned-branch",
    },
    { name: "GitLab forks", text: grant("gitlab", '{ project_id: "1" }'), rule: "fork-pipeline" },
    { name: "a subject beside an id", text: grant("github", '{ repository_id: "1", sub: x, event_name: push }'), rule: "name-based-sub" },
    {
      name: "a claim nobody has heard of",
      text: grant("github", '{ repository_id: "1", zzz_custom: x, event_name: push }'),
      rule: "unknown-claim",
    },
    { name: "audit mode", text: grant("github", '{ repository_id: "1", event_name: push }', "mode: audit"), rule: "audit-mode" },
    {
      name: "a test that fails",
      text: grant(
        "github",
        '{ repository_id: "1", event_name: push }',
        "tests: [{ name: t, given: { trust: github, claims: {} }, expect: allow }]",
      ),
      rule: "test-failed",
    },
  ])("$name", ({ text, rule }) => {
    expect(rules(text, "warning")).toContain(rule);
    expect(rules(text, "error")).toEqual([]);
    expect(load(text).policy).toBeDefined();
  });

  it("a grant without tests", () => {
    expect(load(grant("github", '{ repository_id: "1", event_name: push }')).problems).toMatchObject([
      { rule: "no-tests", severity: "warning" },
    ]);
  });
});

describe("the linter has nothing against", () => {
  it.each([
    {
      name: "a repository by id at an environment",
      text: grant("github", '{ repository_id: "1", environment: production, event_name: [push, workflow_dispatch] }', HIGH),
    },
    {
      name: "a protected branch by pattern",
      text: grant("github", '{ repository_id: "1", ref: { glob: "refs/heads/release/*" }, ref_protected: "true", event_name: push }', HIGH),
    },
    {
      name: "unsafe events that are denied",
      text: grant(
        "github",
        '{ repository_id: "1", environment: production }',
        HIGH,
        "deny: [{ claims: { event_name: [pull_request_target, workflow_run, issue_comment] } }]",
      ),
    },
    {
      name: "unsafe events that cannot happen on a tag",
      text: grant("github", '{ repository_id: "1", environment: production, ref: refs/tags/v1 }', HIGH),
    },
    {
      name: "an expression that looks at the event itself",
      text: grant("github", '{ repository_id: "1", environment: production }\n    when: "claims.event_name == \'push\'"', HIGH),
    },
    { name: "a custom property", text: grant("github", '{ repository_id: "1", repo_property_team: a, event_name: push }') },
    {
      name: "a protected GitLab branch",
      text: grant("gitlab", '{ project_id: "20", ref_protected: "true", environment: production, pipeline_source: push }', HIGH),
    },
    {
      name: "a Buildkite pipeline of an organisation",
      text: grant("buildkite", "{ organization_slug: acme, pipeline_slug: app, build_branch: main }"),
    },
    { name: "a CircleCI project", text: grant("circleci", '{ "oidc.circleci.com/project-id": P1 }') },
    {
      name: "a service account",
      text: grant("kubernetes", '{ "/kubernetes.io/namespace": payments, "/kubernetes.io/serviceaccount/name": deployer }'),
    },
    { name: "a service account by subject", text: grant("kubernetes", '{ sub: "system:serviceaccount:payments:deployer" }') },
    {
      name: "several workflows of one repository",
      text: grant(
        "github",
        '{ repository_id: "1", event_name: push, job_workflow_ref: { glob: "acme/shop/.github/workflows/deploy-*.yml@refs/heads/main" } }',
      ),
    },
    { name: "a path below a separator", text: grant("generic", '{ sub: { glob: "svc/payments/*" } }') },
  ])("$name", ({ text }) => {
    expect(found(text)).toEqual([]);
    expect(load(text).policy).toBeDefined();
  });
});

describe("lint rules", () => {
  const bad = grant("github", "{ repository: acme/shop, event_name: push }");
  it("are turned off one by one, with a reason, for the document that says so", () => {
    const accepted = bad.replace(
      "---\nkind: Grant",
      '---\nkind: Grant\naccept: { mutable-name-only: "the organisation is ours for good" }',
    );
    expect(rules(accepted)).toEqual([]);
    expect(load(accepted).policy).toBeDefined();
    expect(load(accepted.replace("the organisation is ours for good", "")).policy).toBeUndefined();
  });
  it("are only warnings where the settings say so", () => {
    const { policy, problems } = load(`${bad}---\nkind: Settings\nname: settings\nlint: warn\n`);
    expect(policy).toBeDefined();
    expect(problems).toContainEqual(expect.objectContaining({ rule: "mutable-name-only", severity: "warning" }));
    expect(policy?.problems).toEqual(problems);
  });
  it("a day of review lasts to its end", () => {
    const text = grant("github", '{ repository_id: "1", event_name: push }', "review_by: 2026-11-25");
    expect(rules(text)).toEqual(["review-soon"]);
    expect(load(text, { now: NOW + 86_400_000 }).problems.map(({ rule }) => rule)).toContain("review-overdue");
  });
  it("each say in a sentence what they are for", () => {
    for (const [id, text] of Object.entries(LINT_RULES))
      expect([id, text]).toEqual([expect.stringMatching(/^[a-z]+(?:-[a-z]+)*$/), expect.stringMatching(/^[A-Z].*\.$/)]);
    expect(context.stintUrl).toBe("https://stint.acme.dev");
  });
});

describe("a grant for relying parties", () => {
  const GOOGLE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p";
  const federation = (preset: string, claims: string, audience: string): string =>
    grant(preset, claims).replace("audience: https://x.test", `profile: federation, audience: "${audience}"`);
  const GITHUB = '{ repository_id: "1", event_name: push }';
  const POD = '{ "/kubernetes.io/namespace": shop, "/kubernetes.io/serviceaccount/name": api }';

  it("needs an address that they can fetch keys from", () => {
    const text = federation("github", GITHUB, "sts.amazonaws.com");
    const at = (stintUrl: string) => load(text, { stintUrl }).problems.filter(({ rule }) => rule === "federation-url");
    expect(at("http://127.0.0.1:8420")).toEqual([expect.objectContaining({ severity: "warning" })]);
    expect(at("https://stint.acme.dev")).toEqual([]);
    expect(load(grant("github", GITHUB), { stintUrl: "http://127.0.0.1:8420" }).problems.map(({ rule }) => rule)).not.toContain(
      "federation-url",
    );
  });

  it("is told of subjects that Google would find too long", () => {
    expect(rules(federation("kubernetes", POD, GOOGLE))).toContain("subject-too-long");
    expect(rules(federation("kubernetes", POD, "sts.amazonaws.com"))).not.toContain("subject-too-long");
    expect(rules(federation("github", GITHUB, GOOGLE))).not.toContain("subject-too-long");
  });
});

describe("the routes of a verifier", () => {
  const verifier = (...routes: string[]): string =>
    `kind: Verifier\nname: api\naudience: https://x.test\nroutes:\n${routes.map((route) => `  - ${route}\n`).join("")}---\n${grant("github", '{ repository_id: "1", event_name: push }')}`.replace(
      "audience: https://x.test }",
      "audience: https://x.test, scope: [read] }",
    );

  it.each([
    ["that come behind one which matches all of theirs", ["{ path: /a/** }", '{ method: GET, path: "/a/b" }'], "route-shadowed", "error"],
    ["written twice", ["{ method: [GET, PUT], path: /a }", "{ method: PUT, path: /a }"], "route-shadowed", "error"],
    ["whose scope no grant gives", ["{ path: /a, require: { scope: [read, wirte] } }"], "route-scope", "warning"],
    ["that change something and need nothing", ["{ method: [GET, DELETE], path: /a }"], "open-route", "warning"],
    ["for any method that need nothing", ["{ path: /a, require: {} }"], "open-route", "warning"],
  ])("%s", (_, routes, rule, severity) => {
    expect(found(verifier(...routes)).map((one) => [one.rule, one.severity])).toContainEqual([rule, severity]);
  });

  it("are fine where each may be met and needs something, or only reads", () => {
    const routes = [
      "{ method: GET, path: /a }",
      "{ method: PUT, path: /a, require: { scope: [read] } }",
      "{ path: /a/*, when: token.x == 1 }",
    ];
    expect(found(verifier(...routes))).toEqual([]);
  });

  it("are errors at their place where they cannot be read", () => {
    const { problems, policy } = load(
      verifier("{ path: /a, require: { scopes: [read] } }", '{ path: /b, when: "tokn.x == 1" }', "{ path: b/../c }"),
    );
    expect(policy).toBeUndefined();
    const errors = problems
      .filter(({ severity }) => severity === "error")
      .map(({ line, path, message, help }) => ({ line, path, message, help }));
    expect(errors).toEqual([
      { line: 5, path: "api.routes[0].require.scopes", message: 'unknown member "scopes"', help: expect.stringContaining("scope") },
      { line: 6, path: "api.routes[1].when", message: expect.stringContaining("Unknown variable: tokn"), help: undefined },
      { line: 7, path: "api.routes[2].path", message: expect.stringContaining("does not begin with a slash"), help: expect.any(String) },
    ]);
  });
});
