import { execFileSync, spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import { auditVerifyCommand } from "../../../broker/commands/audit-verify.ts";
import { auditDirectory, checkpointKeyPair, segmentFiles, someRecords, writeTrail } from "../../support/audit-files.ts";

const PROGRAM = fileURLToPath(new URL("../../../broker/commands/audit-verify.js", import.meta.url));

const trail = async (at = 1_800_000_000_000) => {
  const directory = await auditDirectory();
  await writeTrail(directory.dir, [someRecords(3, { at }), someRecords(3, { from: [1, 1, 1] })], checkpointKeyPair());
  return directory;
};

describe("stint audit verify", () => {
  it("exits 0 over a trail that is whole, and says that it took the keys from beside it", async () => {
    await using test = await trail();
    const said = execFileSync(process.execPath, [PROGRAM, "--", test.dir], { encoding: "utf8" });
    expect(said).toContain("note: the keys were read from beside the records.");
    expect(said).toContain("6 records, 3 checkpoints: nothing was changed, taken out or moved\n");
  });

  it("believes only the keys it is given, where it is given any", async () => {
    await using test = await trail();
    const kept = join(test.dir, "kept");
    await writeFile(kept, await readFile(join(test.dir, "checkpoint-keys")));
    expect(await auditVerifyCommand([test.dir, "--key", kept])).toEqual({
      code: 0,
      text: "6 records, 3 checkpoints: nothing was changed, taken out or moved",
    });
    await using other = await trail();
    const answer = await auditVerifyCommand([test.dir, "--key", join(other.dir, "checkpoint-keys")]);
    expect(answer).toMatchObject({ code: 9, text: expect.stringContaining("none of the known keys signed it") });
  });

  it("exits 9 and names file and line of a changed record", async () => {
    await using test = await trail();
    const [file] = await segmentFiles(test.dir);
    await file?.rewrite(file.lines.map((line, index) => (index === 1 ? line.replace("deploy", "delete") : line)));
    const { status, stdout } = spawnSync(process.execPath, [PROGRAM, test.dir, "--json"], { encoding: "utf8" });
    expect(status).toBe(9);
    const report = JSON.parse(stdout) as { readonly problems: readonly unknown[] };
    expect(report).toMatchObject({ ok: false, keys: "beside the records" });
    expect(report.problems).toContainEqual(expect.objectContaining({ kind: "changed", file: file?.path, line: 2, bucket: 1, seq: 1 }));
  });

  it("holds the trail against a checkpoint kept elsewhere", async () => {
    await using test = await trail();
    await using other = await trail(1_900_000_000_000);
    const kept = join(test.dir, "checkpoint");
    expect((await auditVerifyCommand([test.dir, "--checkpoint", kept])).code).toBe(0);
    const keys = [join(test.dir, "checkpoint-keys"), join(other.dir, "checkpoint-keys")].flatMap((file) => ["--key", file]);
    const answer = await auditVerifyCommand([other.dir, ...keys, "--checkpoint", kept]);
    expect(answer).toMatchObject({ code: 9, text: expect.stringContaining("vouches for 6 records that no directory holds") });
  });

  it.each([
    ["no directory", [], "usage: audit verify"],
    ["a directory that is none", ["/nowhere/at/all"], "There is no directory /nowhere/at/all"],
    ["a word it does not know", ["x", "--frob"], "--frob"],
    ["a key file that cannot be read", ["x", "--key", "/nowhere/key"], "/nowhere/key cannot be read"],
    ["a key file that holds something else", ["x", "--key", PROGRAM], "holds a line that is no verifier"],
  ])("exits 2 when it is given %s", async (_, args, message) => {
    expect(await auditVerifyCommand(args)).toMatchObject({ code: 2, text: expect.stringContaining(message) });
  });
});
