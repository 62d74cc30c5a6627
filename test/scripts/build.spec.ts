import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../../..");
let project: string;

/** A project as small as can be, built by the real script. */
beforeEach(async () => {
  project = await mkdtemp(join(tmpdir(), "stint-build-"));
  for (const folder of ["scripts", "domain", "store/lua", "client/cli"]) await mkdir(join(project, folder), { recursive: true });
  for (const file of [
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "scripts/prepare.mjs",
    "scripts/build.mjs",
    "scripts/run.mjs",
  ]) {
    await copyFile(join(root, file), join(project, file));
  }
  await symlink(join(root, "node_modules"), join(project, "node_modules"));
  await source("client/cli/main.ts", "#!/usr/bin/env node\nexport {};\n");
  await source("domain/said.ts", 'import { writeFileSync } from "node:fs";\nwriteFileSync("said", process.argv.slice(2).join(" "));\n');
  await source("store/lua/open.lua", "return 1\n");
});
afterEach(() => rm(project, { recursive: true, force: true }));

const source = (path: string, text: string): Promise<void> => writeFile(join(project, path), text);
const built = (path: string): string => join(project, "dist", path);

function script(...args: readonly string[]): Promise<{ readonly code: number; readonly said: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: project }, (error, _, said) => resolve({ code: Number(error?.code ?? 0), said }));
  });
}

describe("npm run build", () => {
  it("compiles, copies the scripts of the store, and makes the command executable", async () => {
    expect((await script("scripts/build.mjs")).code).toBe(0);
    expect((await stat(built("client/cli/main.js"))).mode & 0o111).toBe(0o111);
    expect(await readFile(built("store/lua/open.lua"), "utf8")).toBe("return 1\n");
  });

  it("leaves nothing of a source that is gone: a deleted spec does not run for ever", async () => {
    await source("domain/gone.ts", "export const gone = true;\n");
    await script("scripts/build.mjs");
    expect(existsSync(built("domain/gone.js"))).toBe(true);
    await rm(join(project, "domain/gone.ts"));
    await rm(join(project, "store/lua/open.lua"));
    await script("scripts/build.mjs");
    for (const file of ["domain/gone.js", "domain/gone.d.ts", "domain/gone.js.map", "store/lua/open.lua"])
      expect(existsSync(built(file))).toBe(false);
    expect(existsSync(built("domain/said.js"))).toBe(true);
  });

  it("fails on a type error and says where", async () => {
    await source("domain/wrong.ts", 'export const count: number = "one";\n');
    const { code, said } = await script("scripts/build.mjs");
    expect(code).toBe(1);
    expect(said).toContain("domain/wrong.ts(1,14)");
  });
});

describe("npm start, npm run demo, npm run bench", () => {
  it("build only when a source has changed, and hand their arguments on", async () => {
    const first = await script("scripts/run.mjs", "domain/said", "--seconds", "10");
    expect(first).toMatchObject({ code: 0, said: expect.stringContaining("compiling") });
    expect(await readFile(join(project, "said"), "utf8")).toBe("--seconds 10");
    expect((await script("scripts/run.mjs", "domain/said")).said).toBe("");
    await source("domain/more.ts", "export {};\n");
    expect((await script("scripts/run.mjs", "domain/said")).said).toContain("compiling");
  });

  it("say so when there is no such program", async () => {
    expect(await script("scripts/run.mjs", "domain/other")).toMatchObject({
      code: 1,
      said: expect.stringContaining("there is no domain/other.ts"),
    });
  });
});
