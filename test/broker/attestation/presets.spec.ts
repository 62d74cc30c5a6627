import { describe, expect, it } from "@jest/globals";
import { ALLOWED_ALGORITHMS, PRESET_TABLE, foldsCase, isAnchor, isAnchored } from "../../../broker/attestation/presets.ts";
import { PRESETS } from "../../../broker/policy/policy.ts";
import { compileTemplate } from "../../../broker/policy/template.ts";

describe("the preset table", () => {
  it.each(PRESETS)("has templates for %s that compile, and no symmetric algorithm", (name) => {
    const preset = PRESET_TABLE[name];
    for (const template of [preset.id, preset.workload, ...(preset.task === undefined ? [] : [preset.task])]) {
      expect(compileTemplate(template)).not.toHaveProperty("error");
    }
    for (const algorithm of preset.algorithms) expect(ALLOWED_ALGORITHMS).toContain(algorithm);
    expect(preset.algorithms.some((algorithm) => algorithm === "none" || algorithm.startsWith("HS"))).toBe(false);
  });

  it("counts uses where a platform hands the same token out again, and allows one elsewhere", () => {
    const cached = PRESETS.filter((name) => PRESET_TABLE[name].maxUses === 100);
    expect(cached).toEqual(["gitlab", "circleci", "kubernetes", "spiffe"]);
  });

  it("folds case in GitHub's names only, never in git refs", () => {
    expect(PRESETS.filter((name) => PRESET_TABLE[name].foldsCase.length > 0)).toEqual(["github"]);
    expect(foldsCase("github", "repository")).toBe(true);
    expect(foldsCase("github", "ref")).toBe(false);
    expect(foldsCase("gitlab", "project_path")).toBe(false);
  });

  it("knows when conditions bind a rule to an owner", () => {
    expect(isAnchored("github", new Set(["repository_id", "ref"]))).toBe(true);
    expect(isAnchored("github", new Set(["repository", "ref"]))).toBe(false);
    expect(isAnchored("buildkite", new Set(["pipeline_slug"]))).toBe(false);
    expect(isAnchor("buildkite", "pipeline_slug")).toBe(true);
    expect(isAnchored("kubernetes", new Set(["/kubernetes.io/namespace"]))).toBe(false);
    expect(isAnchored("kubernetes", new Set(["sub"]))).toBe(true);
  });
});
