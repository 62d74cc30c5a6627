import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { leftovers, nothingVanished, vanished } from "../../../broker/policy/diff.ts";
import { summaryOf } from "../../../broker/policy/explain.ts";
import { PolicyHolder, type Reload } from "../../../broker/policy/holder.ts";
import { runPolicyTests } from "../../../broker/policy/load.ts";
import { issuerKinds } from "../../../issuers/catalog.ts";
import { policySchema, policySchemaFile } from "../../../broker/policy/schema.ts";
import { ask, type Ask, context, GITHUB, grantOf, policyOf } from "./support.ts";

const RULES = `allow:
  - trust: github
    claims: { repository_id: "456789", environment: production, ref: refs/heads/main }
deny:
  - claims: { event_name: pull_request_target }`;
const claims = { repository_id: "456789", environment: "production", ref: "refs/heads/main", event_name: "push" };

const summary = (what: Ask): string => {
  const decision = ask(grantOf(RULES), what);
  return summaryOf(decision.trace(), decision.allowed ? undefined : decision.view.code);
};

describe("the reasoning of a decision", () => {
  it("says which conditions held, which rule came nearest and what would have to change", () => {
    const trace = ask(grantOf(RULES), { claims: { ...claims, ref: "refs/heads/x" } }).trace();
    expect(trace.nearest).toEqual({ rule: "deploy.allow[0]", held: 2, of: 3, change: ['ref: "refs/heads/x" must be "refs/heads/main"'] });
    expect(trace.rules[0]?.conditions).toContainEqual({
      condition: "repository_id",
      held: true,
      wanted: '"456789"',
      got: "456789",
      anchor: true,
    });
    expect(summary({ claims: { ...claims, ref: "refs/heads/x" } })).toBe("No allow rule matched; deploy.allow[0] came nearest.");
  });
  it.each([
    {
      name: "a deny rule",
      what: { claims: { ...claims, event_name: "pull_request_target" } },
      said: "deploy.deny[0] matched, and deny wins.",
    },
    { name: "a stranger", what: { claims: { ...claims, repository_id: "1" } }, said: "The caller is no candidate" },
    { name: "another trust", what: { trust: "other", claims }, said: "No allow rule is for the caller's trust." },
    { name: "no such grant", what: { grant: "nope", claims }, said: 'There is no grant "nope".' },
    { name: "too much scope", what: { claims, scope: ["x"] }, said: "more scope was asked for" },
    { name: "an allowed request", what: { claims }, said: "deploy.allow[0] matched, and no deny rule did." },
  ])("of $name says so", ({ what, said }) => {
    expect(summary(what)).toContain(said);
  });
  it("names what a deny rule would have to stop matching", () => {
    const { nearest } = ask(grantOf(RULES), { claims: { ...claims, event_name: "pull_request_target" } }).trace();
    expect(nearest?.change).toEqual(["deploy.deny[0] must not match: event_name"]);
  });
});

describe("a reload that takes something away", () => {
  const one = (name: string, trust = "github"): string =>
    `---\nkind: Grant\nname: ${name}\nallow: [{ trust: ${trust}, claims: { repository_id: "1", sub: x } }]\nissue: { issuer: jwt, audience: https://${name}.test }\n`;
  const OTHER = "kind: Trust\nname: other\noidc: { issuer: https://idp.test }\n---\n";
  const warn = "kind: Settings\nname: settings\nlint: warn\n";
  const before = policyOf(`${OTHER}${GITHUB}${warn}${one("a")}${one("b")}${one("c", "other")}`);
  const after = policyOf(`${OTHER}${GITHUB}${warn}${one("b", "other")}${one("c", "other")}`);
  it("says what vanished, which live leases stand on it, and the command that ends them", () => {
    const gone = vanished(before, after);
    expect(gone).toEqual({ grants: ["a"], trusts: [], pairs: [{ grant: "b", trust: "github" }], changed: ["b"] });
    const lease = (grant: string, trust: string, workload: string): { grant: string; trust: string; workload: string } => ({
      grant,
      trust,
      workload,
    });
    expect(
      leftovers(gone, [lease("a", "github", "w1"), lease("a", "github", "w2"), lease("b", "github", "w1"), lease("c", "other", "w3")]),
    ).toEqual([
      { what: "grant a was removed", leases: 2, workloads: ["w1", "w2"], command: 'stint revoke --grant a --reason "grant removed"' },
      {
        what: "grant b no longer allows trust github",
        leases: 1,
        workloads: ["w1"],
        command: 'stint revoke --grant b --reason "trust github no longer allowed"',
      },
    ]);
  });
  it("tells of a trust that is gone, and of nothing where nothing is", () => {
    const without = policyOf(`${GITHUB}${warn}${one("a")}${one("b")}`);
    expect(leftovers(vanished(before, without), [{ grant: "x", trust: "other", workload: "w" }])).toMatchObject([
      { command: 'stint revoke --trust other --reason "trust removed"' },
    ]);
    expect(nothingVanished(vanished(before, before))).toBe(true);
    expect(nothingVanished(vanished(before, after))).toBe(false);
  });
});

describe("in-file tests and reloading", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "stint-policy-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  const documents = (tests: string, environment = "production"): string => `${GITHUB}kind: Grant
name: deploy
owner: team
allow:
  - trust: github
    claims: { repository_id: "1", environment: ${environment}, event_name: push }
    when: "request.purpose == 'release' && now.hour >= 7"
issue: { issuer: jwt, audience: https://x.test, scope: [a] }
tests:
${tests}`;
  const given = 'trust: github, claims: { repository_id: "1", environment: production, event_name: push }';

  it("a test may expect allow, deny, or deny with its code, at a time and for a request of its own", async () => {
    await writeFile(
      join(folder, "a.yaml"),
      documents(`  - { name: at noon, given: { ${given}, purpose: release }, expect: allow }
  - { name: at night, given: { ${given}, purpose: release, at: "2026-01-01T05:00:00Z" }, expect: deny condition_not_met }
  - { name: a stranger, given: { trust: github, claims: {} }, expect: deny not_permitted }
  - { name: scope, given: { ${given}, purpose: release, scope: [b] }, expect: deny scope_too_wide }
  - { name: wrong code, given: { trust: github, claims: {} }, expect: deny claim_mismatch }
  - { name: wrong, given: { trust: github, claims: {} }, expect: allow }`),
    );
    const { results, problems } = await runPolicyTests(folder, context);
    expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
    expect(results.map(({ name, passed, got }) => [name, passed, got])).toEqual([
      ["at noon", true, "allow"],
      ["at night", true, "deny condition_not_met"],
      ["a stranger", true, "deny not_permitted"],
      ["scope", true, "deny scope_too_wide"],
      ["wrong code", false, "deny not_permitted"],
      ["wrong", false, "deny not_permitted"],
    ]);
    expect(results[5]).toMatchObject({
      file: join(folder, "a.yaml"),
      line: 21,
      expected: "allow",
      trace: { grant: "deploy", candidate: false },
    });
  });

  const good = (environment: string): string => documents(`  - { name: t, given: { ${given} }, expect: deny }`, environment);
  it("a reload replaces the policy whole; a bad one leaves the last good one in force and says so", async () => {
    const file = join(folder, "a.yaml");
    await writeFile(file, good("production"));
    const { holder } = await PolicyHolder.open(folder, () => context);
    if (holder === undefined) throw new Error("did not load");
    const first = holder.current();
    await writeFile(file, `${good("production")}\n---\nkind: Grnt`);
    expect(await holder.reload()).toMatchObject({
      ok: false,
      policy: first,
      problems: expect.arrayContaining([expect.objectContaining({ severity: "error", help: 'did you mean "Grant"?' })]),
    });
    expect(holder.current()).toBe(first);
    expect(holder.problems()).toContainEqual(expect.objectContaining({ severity: "error" }));
    await writeFile(file, good("staging"));
    const results = await Promise.all([holder.reload(), holder.reload(), holder.reload()]);
    expect(results.map(({ ok }) => ok)).toEqual([true, true, true]);
    expect(holder.current().version).not.toBe(first.version);
  });

  it("there is no holder without a first sound policy", async () => {
    await writeFile(join(folder, "a.yaml"), "kind: Grnt");
    expect(await PolicyHolder.open(folder, () => context)).toMatchObject({ holder: undefined, problems: [{ severity: "error" }] });
  });

  it("a watched folder is reloaded when it changes", async () => {
    const file = join(folder, "a.yaml");
    await writeFile(file, good("production"));
    const { holder } = await PolicyHolder.open(folder, () => context);
    if (holder === undefined) throw new Error("did not load");
    const first = holder.current().version;
    let stop = (): void => undefined;
    const reloaded = new Promise<Reload>((resolve, reject) => {
      stop = holder.watch(resolve, reject);
    });
    // Watching is in place when watch() returns; the timer behind it does not keep a process alive, this one does.
    const alive = setInterval(() => undefined, 1000);
    await writeFile(file, good("staging"));
    const result = await reloaded;
    clearInterval(alive);
    stop();
    expect(result.ok).toBe(true);
    expect(holder.current().version).not.toBe(first);
  });
});

describe("the JSON Schema", () => {
  it("in the repository is the one that the code makes", () => {
    expect(readFileSync("schema/stint.v1.json", "utf8")).toBe(policySchemaFile(issuerKinds));
  });
  it("suggests the claims that platforms send", () => {
    expect(policySchema(issuerKinds)).toMatchObject({
      $defs: { Conditions: { properties: { repository_id: { description: "Sent by github." } } } },
    });
  });
  it("knows the members of every kind of target, so that an editor does", () => {
    const { anyOf } = policySchema(issuerKinds) as {
      anyOf: { title?: string; properties: Record<string, object>; additionalProperties: unknown }[];
    };
    const targets = anyOf.filter(({ title }) => title?.startsWith("Target: ") === true);
    expect(targets.map(({ title }) => title)).toEqual([...issuerKinds.keys()].map((kind) => `Target: ${kind}`));
    for (const { properties, additionalProperties } of targets) {
      expect(Object.keys(properties)).toEqual(expect.arrayContaining(["kind", "name", "owner", "issuer"]));
      expect(additionalProperties).toBe(false);
    }
    expect(targets.filter(({ properties }) => "rotate" in properties).map(({ title }) => title)).toEqual([
      "Target: postgres",
      "Target: ssh",
      "Target: x509",
    ]);
    expect(targets.find(({ title }) => title === "Target: postgres")?.properties).toMatchObject({
      issuer: { const: "postgres" },
      roles: {},
    });
  });
});
