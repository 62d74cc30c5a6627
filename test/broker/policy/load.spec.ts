import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { z } from "zod";
import type { IssuerKind } from "../../../domain/target.ts";
import { loadPolicy } from "../../../broker/policy/load.ts";
import { context, GITHUB, load } from "./support.ts";

const TRUST = GITHUB.trim().replace(/---$/, "");
/** line:column path message (help) */
const said = (text: string): string[] =>
  load(text)
    .problems.filter(({ severity, rule }) => severity === "error" && rule === undefined)
    .map((one) => `${one.line ?? 0}:${one.column ?? 0} ${one.path ?? ""} ${one.message}${one.help === undefined ? "" : ` (${one.help})`}`);
const grant = (body: string): string =>
  `${GITHUB}kind: Grant\nname: deploy\nowner: team\nallow: [{ trust: github, claims: { repository_id: "1" } }]\nissue: { issuer: jwt, audience: https://x.test }\n${body}`;

/** A kind of target, as strict as a real one. */
const shelf: IssuerKind = {
  kind: "shelf",
  settings: z.strictObject({ address: z.string() }),
  params: (settings) => z.strictObject({ role: z.literal(`reader of ${(settings as { readonly address: string }).address}`) }),
  revocation: () => "immediate",
  rotates: (settings) => (settings as { readonly address: string }).address === "locked",
  open: () => {
    throw new Error("loading opens nothing");
  },
};

describe("a target", () => {
  const kinds = new Map([["shelf", shelf]]);
  const target = (more: string): string => `kind: Target\nname: db\nowner: team-shop\n${more}\n`;
  const granting = (more: string): string => `---\n${grant("").replace(/issue: .*/, `issue: { target: db, ttl: 5m${more} }`)}`;
  it.each([
    { name: "of no kind", text: target("address: x"), expected: '"issuer" is missing' },
    { name: "of an unknown kind", text: target("issuer: shelve"), expected: 'there is no issuer "shelve" that is made at targets' },
    {
      name: "named as an issuer",
      text: target("issuer: shelf\naddress: x").replace("name: db", "name: jwt"),
      expected: '"jwt" is the name of an issuer',
    },
    { name: "with an unknown setting", text: target("issuer: shelf\naddress: x\naddres: y"), expected: 'unknown member "addres"' },
    { name: "without a setting", text: target("issuer: shelf"), expected: '"address" is missing' },
    {
      name: "whose grant asks what it does not offer",
      text: `${target("issuer: shelf\naddress: x")}${granting(", role: admin")}`,
      expected: "role",
    },
  ])("$name is refused with its place", ({ text, expected }) => {
    const { policy, problems } = load(text, { kinds });
    expect(policy).toBeUndefined();
    expect(problems.map(({ message, path }) => `${path ?? ""} ${message}`).join("\n")).toContain(expected);
    expect(problems.every(({ line }) => line !== undefined)).toBe(true);
  });

  it("changes the broker's own password by schedule only where there is one, and says what to do elsewhere", () => {
    const scheduled = (address: string) => load(target(`issuer: shelf\naddress: ${address}\nrotate: 30d`), { kinds });
    expect(scheduled("locked").policy?.targets.get("db")?.rotateMs).toBe(30 * 86_400_000);
    const { policy, problems } = scheduled("open");
    expect(policy).toBeUndefined();
    expect(problems).toEqual([
      expect.objectContaining({
        path: "db.rotate",
        message: "the broker holds no password or key of its own at db that it could change",
        help: "leave `rotate` out: what you supply there you change yourself, and a changed file is read anew",
      }),
    ]);
  });

  it("says how its credentials die, and so do signed tokens, and rules may weigh it", () => {
    const shelves = load(`${target("issuer: shelf\naddress: x")}${granting(", role: reader of x")}`, { kinds });
    expect(shelves.policy?.grants.get("deploy")?.revocation).toBe("immediate");
    const verifier = (checks: string): string =>
      `---\nkind: Verifier\nname: v\nowner: t\naudience: https://x.test\nkey: sha256:${"0".repeat(64)}\nchecks: ${checks}\n`;
    const signed = (more: string) => load(grant("") + more).policy?.grants.get("deploy")?.revocation;
    expect([signed(""), signed(verifier("feed")), signed(verifier("none"))]).toEqual(["expiry_only", "verifier_checked", "expiry_only"]);
  });

  it("that cannot be used is complained of once, not by each of its grants", () => {
    const { problems } = load(`${target("issuer: shelf")}${granting("")}`, { kinds });
    expect(problems.filter(({ severity, rule }) => severity === "error" && rule === undefined)).toHaveLength(1);
  });
});

describe("mistakes in documents", () => {
  it.each([
    {
      name: "an unknown member, with the nearest word",
      text: `${TRUST}onwer: x`,
      expected: '5:1 github.onwer unknown member "onwer" (did you mean "owner"?)',
    },
    {
      name: "an unknown member within",
      text: "kind: Trust\nname: a\nowner: o\noidc:\n  issuer: https://x.test\n  presets: github",
      expected: '6:3 a.oidc.presets unknown member "presets" (did you mean "preset"?)',
    },
    { name: "an unknown kind", text: "kind: Grants\nname: a", expected: '1:7 a.kind there is no kind "Grants" (did you mean "Grant"?)' },
    { name: "no kind", text: "name: a", expected: '1:1 a "kind" is missing' },
    { name: "a list in place of a document", text: "- a", expected: "1:1 document 1 is not a document" },
    { name: "something missing", text: "kind: Trust\nname: a\nowner: o", expected: '1:1 a.oidc "oidc" is missing (expected a mapping)' },
    { name: "a bad name", text: TRUST.replace("github", "Git_Hub"), expected: "2:7 Git_Hub.name must be 1 to 63 lower-case" },
    { name: "a wrong preset", text: TRUST.replace("preset: github", "preset: githb"), expected: '(did you mean "github"?)' },
    {
      name: "an algorithm that is none",
      text: TRUST.replace("preset: github", "preset: github, algorithms: [HS256]"),
      expected: "oidc.algorithms[0] must be one of RS256",
    },
    { name: "an http issuer", text: TRUST.replace("https:", "http:"), expected: "must be an https URL" },
    {
      name: "insecure_http for an issuer elsewhere",
      text: TRUST.replace("preset:", "insecure_http: true, preset:"),
      expected: "insecure_http is only for an issuer on this machine",
    },
    {
      name: "a template that does not compile",
      text: `${TRUST}id: "\${repository_id"`,
      expected: '5:5 github.id the template has "${" at column 1',
    },
    { name: "two trusts of one name", text: `${TRUST}---\n${TRUST}`, expected: 'there is another Trust named "github"' },
    {
      name: "two trusts of one issuer and audience",
      text: `${TRUST}---\n${TRUST.replace("name: github", "name: other")}`,
      expected: 'trust "github" already has this issuer and audience (https://stint.acme.dev)',
    },
    {
      name: "a grant for an unknown trust",
      text: grant("").replace("trust: github", "trust: githug"),
      expected: 'deploy.allow[0].trust there is no trust "githug" (did you mean "github"?)',
    },
    {
      name: "an unknown issuer",
      text: grant("").replace("issuer: jwt", "issuer: jwtt"),
      expected: 'deploy.issue.issuer there is no issuer "jwtt" (did you mean "jwt"?)',
    },
    {
      name: "an unknown member of an issuer's settings",
      text: grant("").replace("audience: https://x.test", "audience: https://x.test, audienc: x"),
      expected: 'deploy.issue.audienc unknown member "audienc" (did you mean "audience"?)',
    },
    {
      name: "what the issuer needs and is missing",
      text: grant("").replace(", audience: https://x.test", ""),
      expected: 'deploy.issue.audience "audience" is missing',
    },
    { name: "an unknown target", text: grant("").replace("issuer: jwt", "target: db"), expected: 'there is no target "db"' },
    {
      name: "an issuer and a target",
      text: grant("").replace("issuer: jwt", "issuer: jwt, target: db"),
      expected: "says both issuer and target",
    },
    {
      name: "the broker's own URL as audience",
      text: grant("").replace("https://x.test", "https://stint.acme.dev/"),
      expected: "the broker's own URL (STINT_URL) cannot be a grant's audience",
    },
    {
      name: "a life too short",
      text: grant("").replace("https://x.test", "https://x.test, ttl: 4s"),
      expected: "deploy.issue.ttl must be at least 5s and at most 24h",
    },
    {
      name: "a life too long",
      text: grant("").replace("https://x.test", "https://x.test, max_ttl: 25h"),
      expected: "deploy.issue.max_ttl must be at least 5s and at most 24h",
    },
    {
      name: "a life that is no span",
      text: grant("").replace("https://x.test", "https://x.test, ttl: soon"),
      expected: "must be a duration such as",
    },
    {
      name: "max_ttl below ttl",
      text: grant("").replace("https://x.test", "https://x.test, ttl: 10m, max_ttl: 5m"),
      expected: "max_ttl is shorter than ttl",
    },
    {
      name: "audit mode at high sensitivity",
      text: grant("mode: audit\nsensitivity: high"),
      expected: "12:7 deploy.mode mode audit is not for a grant of high sensitivity",
    },
    { name: "no allow rule", text: grant("").replace(/allow: .*/, "allow: []"), expected: "deploy.allow must hold at least one rule" },
    {
      name: "an allow rule without conditions",
      text: grant("").replace(', claims: { repository_id: "1" }', ""),
      expected: "deploy.allow[0] allows whatever the trust vouches for",
    },
    { name: "a deny rule that denies everything", text: grant("deny: [{}]"), expected: "deploy.deny[0] denies everything" },
    {
      name: "an unknown kind of condition",
      text: grant("deny: [{ claims: { ref: { globb: x } } }]"),
      expected: 'deploy.deny[0].claims.ref.globb unknown member "globb" (did you mean "glob"?)',
    },
    { name: "an empty list", text: grant("deny: [{ claims: { ref: [] } }]"), expected: "an empty list matches nothing" },
    { name: "an empty value", text: grant("deny: [{ claims: { ref: } }]"), expected: "deploy.deny[0].claims.ref must be a value" },
    { name: "a claim called __proto__", text: grant("deny: [{ claims: { __proto__: x } }]"), expected: '"__proto__" is not a name' },
    {
      name: "an unanchored expression",
      text: grant("deny: [{ claims: { ref: { regex: main } } }]"),
      expected: "deploy.deny[0].claims.ref is not anchored: write ^...$",
    },
    {
      name: "a number beyond exactness",
      text: grant("deny: [{ claims: { ref: 12345678901234567890 } }]"),
      expected: "is a number too large to be kept exactly",
    },
    {
      name: "an unknown lint rule",
      text: grant("accept: { unowned-brnch: x }"),
      expected: '12:11 deploy.accept.unowned-brnch there is no lint rule "unowned-brnch" (did you mean "unowned-branch"?)',
    },
    {
      name: "a test that expects something else",
      text: grant("tests: [{ name: a, given: { trust: github, claims: {} }, expect: maybe }]"),
      expected: 'deploy.tests[0].expect must be "allow"',
    },
    {
      name: "a verifier without a key that checks the feed",
      text: "kind: Verifier\nname: a\naudience: https://x.test\nchecks: feed",
      expected: "a verifier that checks by feed needs a key",
    },
    {
      name: "a verifier's key that is no hash",
      text: "kind: Verifier\nname: a\naudience: https://x.test\nkey: secret",
      expected: "4:6 a.key must be sha256: and 64 lower-case hex digits",
    },
    {
      name: "two settings",
      text: "kind: Settings\nname: settings\n---\nkind: Settings\nname: settings",
      expected: "there is another Settings named",
    },
    { name: "settings of another name", text: "kind: Settings\nname: other", expected: '2:7 other.name must be "settings"' },
    { name: "a duplicate key", text: "kind: Trust\nkind: Grant", expected: "2:1  Map keys must be unique" },
    { name: "an alias", text: "kind: &k Trust\nname: *k", expected: "aliases are not allowed" },
    { name: "an anchor", text: "kind: &k Trust", expected: "anchors are not allowed" },
    { name: "a tag", text: "kind: !!binary Trust", expected: /tag/i },
    { name: "text that is no YAML", text: "kind: [Trust", expected: /\d+:\d+ / },
  ])("$name", ({ text, expected }) => {
    expect(load(text).policy).toBeUndefined();
    expect(said(text)).toContainEqual(typeof expected === "string" ? expect.stringContaining(expected) : expect.stringMatching(expected));
  });

  it("are all reported at once, in order", () => {
    const problems = said(`${GITHUB}kind: Grant
name: deploy
ownr: team
allow:
  - trust: gitlab
    claims: { ref: { regex: main }, sha: { glob: "***" } }
    when: "request.purpos == ''"
issue: { issuer: jwt, audience: https://x.test, ttl: 10m, max_ttl: 1m }`);
    expect(problems.map((one) => one.split(" ").slice(0, 2).join(" "))).toEqual([
      "9:1 deploy.ownr",
      "11:12 deploy.allow[0].trust",
      "12:20 deploy.allow[0].claims.ref",
      "12:42 deploy.allow[0].claims.sha",
      "13:20 deploy.allow[0].when",
      "14:68 deploy.issue.max_ttl",
    ]);
  });

  it("in an expression are placed on the character", () => {
    const at = (when: string): string | undefined => said(grant(`deny:\n  - when: "${when}"`))[0];
    expect(at("request.purpos == ''")).toMatch(/^13:20 deploy.deny\[0\].when when: No such key: purpos/);
    expect(at("request.purpose + 1 == 2")).toContain("no such overload: string + int");
    expect(at("request.purpose")).toContain("must be a condition (bool), but is string");
    expect(at("secrets.x == 1")).toContain("Unknown variable: secrets");
    expect(at("claims.a ==")).toContain("13:");
    expect(at("claims.a.matches(claims.b)")).toContain("needs a regular expression written out");
    expect(at("claims.a.matches('a')")).toContain("not anchored");
    expect(at("claims.a.all(x, claims.b.all(y, x == y))")).toContain("a loop within a loop");
  });
});

describe("texts made to exhaust", () => {
  it.each([
    { name: "very deep nesting", text: `kind: ${"[".repeat(100_000)}` },
    { name: "deep nesting that is closed", text: `a: ${"{a: ".repeat(60)}1${"}".repeat(60)}` },
    { name: "a very large file", text: `kind: Trust\nname: "${"x".repeat(1_100_000)}"` },
    { name: "very many values", text: `kind: [${"1,".repeat(120_000)}1]` },
    {
      name: "a bomb of aliases",
      text: `a: &a [x,x]\nb: &b [${"*a,".repeat(20)}*a]\nc: &c [${"*b,".repeat(20)}*b]\nd: [${"*c,".repeat(20)}*c]`,
    },
  ])("$name is refused", ({ text }) => {
    const { policy, problems } = load(text);
    expect(policy).toBeUndefined();
    expect(problems[0]).toMatchObject({ severity: "error", file: "policy.yaml" });
  });

  it("no text at all makes loading throw", () => {
    const words = fc.constantFrom(
      "kind: Grant",
      "kind: Trust",
      "name: a",
      "allow:",
      "  - trust: a",
      "    claims: { a: [1, {}] }",
      "issue: { issuer: jwt }",
      "oidc: 5",
      "- x",
      "---",
      "? x",
      "&a *a",
      "!!js x",
      "\t",
      "{",
      '"',
      "accept: []",
      "tests: [1]",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(words, fc.string({ maxLength: 20 })), { maxLength: 14 }), (lines) =>
        expect(Array.isArray(load(lines.join("\n")).problems)).toBe(true),
      ),
      { numRuns: 400 },
    );
  });

  it("no data at all in the place of any member makes loading throw", () => {
    const document = fc.record(
      {
        kind: fc.constantFrom("Trust", "Grant", "Verifier", "Target", "Settings"),
        name: fc.jsonValue(),
        allow: fc.jsonValue(),
        deny: fc.jsonValue(),
        issue: fc.jsonValue(),
        oidc: fc.jsonValue(),
        accept: fc.jsonValue(),
        tests: fc.jsonValue(),
        tasks: fc.jsonValue(),
      },
      { requiredKeys: ["kind"] },
    );
    fc.assert(
      fc.property(document, (value) => expect(Array.isArray(load(JSON.stringify(value)).problems)).toBe(true)),
      { numRuns: 300 },
    );
  });
});

describe("a folder of documents", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "stint-policy-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  const put = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text);
  const JWK = { kty: "EC", crv: "P-256", x: "x", y: "y", kid: "1" };
  const BY_FILE = TRUST.replace("preset: github", "preset: github, jwks_file: keys.jwks.json");

  it("is loaded whole, key sets beside it are not documents, and its version does not depend on the files", async () => {
    await put("a.yaml", BY_FILE);
    await put("b.json", JSON.stringify({ kind: "Verifier", name: "api", audience: "https://x.test" }));
    await put("keys.jwks.json", JSON.stringify({ keys: [JWK] }));
    await put(".hidden.yaml", "nonsense");
    await put("README.md", "nonsense");
    const first = await loadPolicy(folder, context);
    expect(first.problems).toEqual([]);
    expect(first.policy?.trusts.get("github")?.keys).toEqual({ from: "file", path: join(folder, "keys.jwks.json") });
    await put("a.yaml", `---\nkind: Verifier\nname: api\naudience: https://x.test\n---\n${BY_FILE}`);
    await rm(join(folder, "b.json"));
    expect((await loadPolicy(folder, context)).policy?.version).toBe(first.policy?.version);
  });

  it.each([
    { name: "is missing", text: undefined, expected: "cannot be read: there is no such file" },
    { name: "is not JSON", text: "{", expected: "is not JSON" },
    { name: "is not a key set", text: "{}", expected: "is not a JWKS" },
    { name: "holds no keys", text: '{"keys":[]}', expected: "holds no keys" },
    { name: "holds a private key", text: JSON.stringify({ keys: [{ ...JWK, d: "x" }] }), expected: "holds a PRIVATE key at keys[0]" },
    {
      name: "holds a symmetric key",
      text: JSON.stringify({ keys: [{ kty: "oct", k: "x" }] }),
      expected: "holds a symmetric key at keys[0]",
    },
  ])("is refused when a jwks_file $name", async ({ text, expected }) => {
    await put("a.yaml", BY_FILE);
    if (text !== undefined) await put("keys.jwks.json", text);
    const { policy, problems } = await loadPolicy(folder, context);
    expect(policy).toBeUndefined();
    expect(problems).toContainEqual(expect.objectContaining({ path: "github.oidc.jwks_file", message: expect.stringContaining(expected) }));
  });

  it("that is not there, or is not text, is a mistake; an empty one is a warning", async () => {
    expect((await loadPolicy(join(folder, "none"), context)).problems[0]).toMatchObject({
      severity: "error",
      message: expect.stringContaining("there is no such file"),
    });
    expect(await loadPolicy(folder, context)).toMatchObject({
      policy: { version: expect.stringMatching(/^sha256:[0-9a-f]{16}$/) },
      problems: [{ severity: "warning" }],
    });
    await writeFile(join(folder, "a.yaml"), Buffer.from([0xff, 0xfe, 0x00]));
    expect((await loadPolicy(folder, context)).problems[0]).toMatchObject({ message: "cannot be read: it is not UTF-8 text" });
  });
});

describe("defaults", () => {
  it("of a trust are its preset's, and its audience is the broker", () => {
    const trust = load(TRUST).policy?.trusts.get("github");
    expect(trust).toMatchObject({
      audiences: ["https://stint.acme.dev"],
      algorithms: ["RS256"],
      maxUses: 1,
      keys: { from: "discovery" },
      privateNetwork: false,
      insecureHttp: false,
    });
    expect(trust?.renderId({ repository_id: "1" })).toBe("1");
    expect(load(TRUST.replace("preset: github", "preset: github, single_use: false")).policy?.trusts.get("github")?.maxUses).toBe(100);
  });
  it("of a grant's life are ten minutes, and no longer than asked for", () => {
    const issue = (more: string): unknown =>
      load(grant("").replace("https://x.test", `https://x.test${more}`)).policy?.grants.get("deploy")?.issue;
    expect(issue("")).toMatchObject({ ttlMs: 600_000, maxTtlMs: 600_000 });
    expect(issue(", ttl: 1h")).toMatchObject({ ttlMs: 3_600_000, maxTtlMs: 3_600_000 });
    expect(issue(", max_ttl: 1h")).toMatchObject({ ttlMs: 600_000, maxTtlMs: 3_600_000 });
    expect(issue(", max_ttl: 5m")).toMatchObject({ ttlMs: 300_000, maxTtlMs: 300_000 });
  });
  it("of settings are 6 h and 7 days", () => {
    expect(load("").policy?.settings).toEqual({ lint: "error", implicitTaskTtlMs: 21_600_000, retentionMs: 604_800_000 });
    expect(load("kind: Settings\nname: settings\nlint: warn\ntasks: { implicit_ttl: 1h }\nretention: 30d").policy?.settings).toEqual({
      lint: "warn",
      implicitTaskTtlMs: 3_600_000,
      retentionMs: 2_592_000_000,
    });
  });
});

describe("a document that uses everything", () => {
  const text = `${TRUST.replace("preset: github", "preset: github, audience: [https://stint.acme.dev, https://old.acme.dev], algorithms: [RS256], single_use: true")}review_by: 2027-06-30
id: "\${repository_id}"
workload: "github/\${repository}"
task: "\${run_id}.\${run_attempt}.\${check_run_id}"
---
kind: Grant
name: release
owner: team-shop
review_by: 2027-01-31
description: Release the shop
sensitivity: critical
mode: enforce
allow:
  - trust: github
    claims:
      repository_id: "456789"
      environment: [production, staging]
      ref: { glob: "refs/tags/v*" }
      actor: { not: "dependabot[bot]" }
      workflow_ref: { regex: "^acme/shop/\\\\.github/workflows/release\\\\.yml@refs/heads/main$" }
      repo_property_regions: { includes: us-east-1, split: "," }
    when: "request.purpose != '' && now.hour >= 7"
deny:
  - claims: { event_name: pull_request_target }
  - { trust: github, claims: { "/actor": mallory } }
issue: { issuer: jwt, audience: https://deploy.acme.dev, scope: [deploy:write], claims: { team: shop }, ttl: 10m, max_ttl: 30m }
limits: { active: 2, per_hour: 20 }
accept: { "unowned-branch": "tags are protected" }
tests:
  - { name: a pull request never releases, given: { trust: github, claims: { repository_id: "456789", ref: refs/pull/7/merge } }, expect: deny }
---
kind: Verifier
name: deploy-api
audience: https://deploy.acme.dev
key: [sha256:${"0a".repeat(32)}]
checks: feed
routes:
  - { method: [POST], path: "/deploy/**", require: { scope: [deploy:write] }, when: "token.purpose != ''" }
---
kind: Target
name: shop-db
owner: team-shop
issuer: shelf
address: db.acme.dev
`;
  it("loads without a word", () => {
    const { policy, problems } = load(text, { kinds: new Map([["shelf", shelf]]) });
    expect(problems).toEqual([]);
    expect(policy?.targets.get("shop-db")).toMatchObject({ owner: "team-shop", settings: { address: "db.acme.dev" } });
    expect(policy?.grants.get("release")).toMatchObject({
      sensitivity: "critical",
      limits: { active: 2, perHour: 20 },
      issue: { params: { audience: "https://deploy.acme.dev", claims: { team: "shop" } } },
    });
    expect(policy?.verifiers.get("deploy-api")).toMatchObject({
      keyHashes: ["0a".repeat(32)],
      checks: "feed",
      routes: [{ path: "/deploy/**" }],
    });
    expect(policy?.trusts.get("github")?.audiences).toHaveLength(2);
  });
});
