import { describe, expect, it } from "@jest/globals";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import { compileWhen } from "../../broker/policy/when.ts";
import { LINT_RULES } from "../../broker/policy/lint.ts";
import { loadDocuments, runPolicyTests } from "../../broker/policy/load.ts";
import { issuerCatalog, issuerKinds } from "../../issuers/catalog.ts";
import { blocksIn, type Block } from "./pages.ts";

const URL = "https://stint.acme.dev";
const keys = { current: () => Promise.reject(new Error("nothing is signed here")), kidNow: () => undefined };
const issuers: Readonly<Record<string, z.ZodType>> = Object.fromEntries(
  [...issuerCatalog({ issuer: URL, keys })].map(([kind, { params }]) => [kind, params]),
);
/** The examples have days of review: they are judged as of one day, not of every day to come. */
const context = { stintUrl: URL, issuers, kinds: issuerKinds, now: Date.parse("2026-11-22T12:00:00Z") };

const yaml = blocksIn("yaml");
const of = (kind: string): readonly Block[] => yaml.filter(({ info }) => info === `yaml ${kind}`);
const named = (blocks: readonly Block[]) => blocks.map((block) => ({ name: `${block.page}:${block.line}`, block }));

describe("YAML in the documentation", () => {
  it("says what it is an example of, so that it is tried here", () => {
    expect(
      yaml
        .filter(({ info }) => !/^yaml (?:policy|claims|when|accept|verifier|target|proxy|workflow|kubeconfig|authentication)$/.test(info))
        .map(({ page, line }) => `${page}:${line}`),
    ).toEqual([]);
    for (const kind of ["policy", "claims", "when", "accept", "verifier", "target", "proxy", "workflow"])
      expect({ kind, examples: of(kind).length > 0 }).toEqual({ kind, examples: true });
  });

  it.each(named(of("policy")))("loads without a finding and passes its own tests: $name", async ({ block }) => {
    const folder = mkdtempSync(join(tmpdir(), "stint-docs-"));
    writeFileSync(join(folder, "policy.yaml"), block.text);
    const { policy, problems, results } = await runPolicyTests(folder, context);
    rmSync(folder, { recursive: true });
    expect(problems).toEqual([]);
    expect(policy?.grants.size).toBeGreaterThan(0);
    expect(results.length).toBeGreaterThan(1);
    expect(results.filter(({ passed }) => !passed).map(({ name, expected, got }) => ({ name, expected, got }))).toEqual([]);
  });

  it.each(named(of("claims")))("is a set of conditions that a rule for GitHub takes: $name", ({ block }) => {
    const claims = block.text.split("\n").map((line) => `      ${line}`);
    const text = [
      "kind: Trust",
      "name: github",
      "owner: a",
      "oidc: { issuer: https://token.actions.githubusercontent.com, preset: github }",
      "---",
    ];
    const grant = [
      "kind: Grant",
      "name: example",
      "owner: a",
      "allow:",
      "  - trust: github",
      "    claims:",
      ...claims,
      "issue: { issuer: jwt, audience: https://a.example }",
    ];
    const { problems } = loadDocuments([{ file: "example.yaml", text: [...text, ...grant].join("\n") }], context);
    expect(problems.filter(({ rule }) => rule !== "no-tests")).toEqual([]);
  });

  it.each(named(of("when")))("is a list of expressions that compile: $name", ({ block }) => {
    for (const line of block.text.split("\n")) {
      const source = /^- "(.*)"$/.exec(line)?.[1];
      expect(source).toBeDefined();
      expect({ source, error: "error" in compileWhen(source ?? "") }).toEqual({ source, error: false });
    }
  });

  it.each(named(of("verifier")))("is a verifier that loads beside a grant for its audience: $name", ({ block }) => {
    const [audience = ""] = /(?<=^audience: )\S+/m.exec(block.text) ?? [];
    const grant = `kind: Trust
name: github
owner: a
oidc: { issuer: https://token.actions.githubusercontent.com, preset: github }
---
kind: Grant
name: deploy
owner: a
allow: [{ trust: github, claims: { repository_id: "1", event_name: push } }]
issue: { issuer: jwt, audience: ${audience}, scope: [deploy:read, deploy:write] }`;
    const { problems } = loadDocuments([{ file: "example.yaml", text: `${block.text}\n---\n${grant}` }], context);
    expect(problems.filter(({ rule }) => rule !== "no-tests")).toEqual([]);
  });

  it.each(named(of("target")))("is a target that loads: $name", ({ block }) => {
    expect(loadDocuments([{ file: "example.yaml", text: block.text }], context).problems).toEqual([]);
  });

  it.each(named(of("accept")))("accepts rules that exist, with a reason: $name", ({ block }) => {
    const found = [...block.text.matchAll(/([a-z-]+): "([^"]+)"/g)];
    expect(found.length).toBeGreaterThan(0);
    for (const [, rule = ""] of found) expect(Object.keys(LINT_RULES)).toContain(rule);
  });
});
