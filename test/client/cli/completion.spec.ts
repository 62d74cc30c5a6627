import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ifPresent } from "../../support/needs.ts";
import { CLI, callCli } from "./run-cli.ts";

const offered = async (...words: readonly string[]): Promise<readonly string[]> => {
  const { code, out } = await callCli(["completion", "bash", "--", ...words]);
  expect(code).toBe(0);
  return out.split("\n").filter((line) => line !== "");
};

describe("what may come next on the command line", () => {
  it("are commands, their commands, their flags and the values of these", async () => {
    expect(await offered("")).toEqual(expect.arrayContaining(["request", "exec", "lease", "credential-helper", "completion"]));
    expect(await offered("lease", "re")).toEqual(["renew", "revoke"]);
    expect(await offered("request", "deploy", "--fo")).toEqual(["--format"]);
    expect(await offered("request", "deploy", "--format", "pg")).toEqual(["pgpass", "pgservice"]);
    expect(await offered("credential-helper", "git", "--grant", "source", "")).toEqual(["get", "store", "erase"]);
    expect(await offered("completion", "")).toEqual(["bash", "zsh", "fish"]);
  });

  it("is nothing where it is a name, a file or another program's word: the shell offers files", async () => {
    for (const words of [
      ["request", ""],
      ["request", "--out", ""],
      ["exec", "--", "--he"],
      ["nonsense", ""],
      ["lease", "nonsense", ""],
    ])
      expect([words, await offered(...words)]).toEqual([words, []]);
  });

  it("has no script for a shell that it does not know", async () => {
    const { code, err } = await callCli(["completion", "tcsh"]);
    expect([code, err]).toEqual([2, expect.stringContaining("Allowed choices are bash, zsh, fish")]);
  });
});

describe("the script", () => {
  let bin = "";
  beforeAll(async () => {
    bin = await mkdtemp(join(tmpdir(), "stint-completion-"));
    await writeFile(join(bin, "stint"), `#!/bin/sh\nexec "${process.execPath}" "${CLI}" "$@"\n`);
    await chmod(join(bin, "stint"), 0o755);
  });
  afterAll(() => rm(bin, { recursive: true, force: true }));
  const shell = (name: string, ...args: readonly string[]): string =>
    execFileSync(name, args, { encoding: "utf8", env: { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` } });

  ifPresent("bash").it("completes in a real bash", () => {
    const said = shell(
      "bash",
      "--norc",
      "-c",
      'source <(stint completion bash); COMP_WORDS=(stint lease re); COMP_CWORD=2; _stint; printf "%s " "${COMPREPLY[@]}"; complete -p stint',
    );
    expect(said).toBe("renew revoke complete -o bashdefault -o default -F _stint stint\n");
  });

  ifPresent("zsh").it("completes in a real zsh", () => {
    const script =
      'compdef() { :; }; compadd() { print -l -- "${(@P)2}"; }; eval "$(stint completion zsh)"; words=(stint lease re); CURRENT=3; _stint';
    const said = shell("zsh", "-f", "-c", script);
    expect(said).toBe("renew\nrevoke\n");
  });

  ifPresent("fish").it("completes in a real fish", () => {
    const said = shell("fish", "--no-config", "-c", "stint completion fish | source; complete --do-complete 'stint lease re'");
    if (said !== undefined) expect(said.trim().split(/\s+/)).toEqual(["renew", "revoke"]);
  });
});
