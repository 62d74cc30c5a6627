import { describe, expect, it } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VARIABLES } from "../../broker/config/environment.ts";
import { ifPresent } from "../support/needs.ts";
import { root, text } from "./dockerfile.ts";

const withSystemd = ifPresent("systemd-analyze");
const unit = text("deploy/stint.service");
const values = (name: string): readonly string[] => [...unit.matchAll(new RegExp(`^${name}=(.*)$`, "gm"))].map(([, value = ""]) => value);

/** systemd's own opinion of the unit, with paths that this machine has. */
function analyzed(...args: readonly string[]): { readonly code: number | null; readonly said: string } {
  const folder = mkdtempSync(join(tmpdir(), "stint-unit-"));
  try {
    const file = join(folder, "stint.service");
    writeFileSync(file, unit.replace("/usr/bin/node", process.execPath).replace("=/opt/stint\n", `=${folder}\n`));
    const { status, stdout, stderr, error } = spawnSync("systemd-analyze", [...args, file], { encoding: "utf8" });
    if (error !== undefined) throw error;
    return { code: status, said: `${stdout}${stderr}` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("the systemd unit", () => {
  withSystemd.it("is one that systemd takes without a word", () => {
    expect(analyzed("verify")).toEqual({ code: 0, said: "" });
  });

  withSystemd.it("exposes little, by systemd's own measure", () => {
    expect(analyzed("security", "--offline=true", "--threshold=20").code).toBe(0);
  });

  it("starts a program of ours with variables that there are, and keeps the master key out of its environment", () => {
    const [, program = ""] = /^\/usr\/bin\/node (dist\/\S+)$/.exec(values("ExecStart")[0] ?? "") ?? [];
    expect(existsSync(join(root, program))).toBe(true);
    const known = new Set(["NODE_ENV", ...VARIABLES.flatMap(({ name, secret }) => (secret === true ? [name, `${name}_FILE`] : [name]))]);
    const set = values("Environment").map((pair) => pair.split("=")[0] ?? "");
    expect(set.filter((name) => !known.has(name))).toEqual([]);
    expect(set).not.toContain("STINT_MASTER_KEY");
    expect(values("LoadCredential")).toEqual(["master-key:/etc/stint/master-key"]);
    expect(values("Environment")).toContain("STINT_MASTER_KEY_FILE=%d/master-key");
  });

  it("does not try again what a mistake of configuration ended, and gives a drain its time", () => {
    expect(values("RestartPreventExitStatus")).toEqual(["78"]);
    expect(Number(values("TimeoutStopSec")[0])).toBeGreaterThan(10);
    expect(values("MemoryDenyWriteExecute")).toEqual([]);
  });
});
