import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { appendFile, chmod, mkdir, readFile, readdir, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { AuditFiles, type DiskWriter } from "../../../broker/audit/files.ts";
import { GENESIS } from "../../../broker/audit/chain.ts";
import { auditDirectory, checkpointKeyPair, segmentFiles, someRecords, writeTrail } from "../../support/audit-files.ts";
import { specsIf } from "../../support/needs.ts";
import { CheckpointFiles } from "../../../broker/audit/checkpoint-files.ts";

const NOW = Date.parse("2026-03-02T12:00:00Z");
const DAY = 86_400_000;
const open = (dir: string, more: Partial<Parameters<typeof AuditFiles.open>[0]> = {}) =>
  AuditFiles.open({ dir, signed: undefined, ...more });
const asRoot = specsIf(process.getuid?.() === 0, "only root can give a directory away");

describe("audit files", () => {
  it("are for the broker's eyes only", async () => {
    await using test = await auditDirectory();
    const dir = join(test.dir, "new", "audit");
    await using files = await open(dir);
    await files.append(someRecords(1), NOW);
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    for (const name of await readdir(dir)) expect((await stat(join(dir, name))).mode & 0o777).toBe(0o600);
  });

  it("go on where the last process left off, across days and full files", async () => {
    await using test = await auditDirectory();
    const records = someRecords(20);
    for (let at = 0; at < 20; at += 5) {
      await using files = await open(test.dir, { segmentBytes: 900 });
      await files.append(records.slice(at, at + 5), at < 15 ? NOW : NOW + DAY);
      expect(files.tail.size).toBe(at + 5);
    }
    const names = (await readdir(test.dir)).sort();
    expect(names.length).toBeGreaterThan(2);
    expect(names.at(-1)).toBe("audit-0000000000000015-20260303.ndjson");
    await using files = await open(test.dir);
    expect(files.tail).toMatchObject({ size: 20, sequences: expect.arrayContaining([7, 7, 6]) });
  });

  it("begin with a link to nothing", async () => {
    await using test = await auditDirectory();
    await writeTrail(test.dir, [someRecords(2)], checkpointKeyPair());
    const [file] = await segmentFiles(test.dir);
    expect(file?.lines[0]).toContain(`"prev":"${GENESIS}"`);
  });

  it("lose half a record to a crash, and nothing else", async () => {
    await using test = await auditDirectory();
    await writeTrail(test.dir, [someRecords(3)], checkpointKeyPair());
    const [file] = await segmentFiles(test.dir);
    await appendFile(file?.path ?? "", '{"action":"lease.iss');
    await using files = await open(test.dir);
    expect(files.tail.size).toBe(3);
    await files.append(someRecords(1, { from: [1, 1, 1] }), NOW);
    expect(
      (await readFile(file?.path ?? "", "utf8"))
        .split("\n")
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { seq: number }).seq),
    ).toEqual([1, 1, 1, 2]);
  });
});

describe("a place that is not safe for audit files", () => {
  it.each([
    ["a directory that others may enter", async (dir: string) => chmod(dir, 0o755), "others may use it (mode 0755): chmod 0700 it"],
    ["a file where the directory should be", async (dir: string) => (await rm(dir, { recursive: true }), writeFile(dir, "")), "EEXIST"],
    [
      "a file that others may read",
      async (dir: string) => writeFile(join(dir, "audit-0000000000000000-20260302.ndjson"), "", { mode: 0o644 }),
      "chmod 0600 it",
    ],
    [
      "a link in place of a file",
      async (dir: string) => symlink("/dev/null", join(dir, "audit-0000000000000000-20260302.ndjson")),
      "it is not a plain file",
    ],
  ])("is refused: %s", async (_, prepare, message) => {
    await using test = await auditDirectory();
    await prepare(test.dir);
    await expect(open(test.dir)).rejects.toThrow(message);
  });

  asRoot.it("is refused: a directory of another user", async () => {
    await using test = await auditDirectory();
    execFileSync("chown", ["65534", test.dir]);
    await expect(open(test.dir)).rejects.toThrow("it belongs to user 65534, not to the broker's");
  });
});

describe("files that were altered while no broker ran", () => {
  const signed = async (dir: string, keys: ReturnType<typeof checkpointKeyPair>) =>
    new CheckpointFiles({ dir, origin: "stint.acme.dev/audit", storeId: "store-1", keys }).latest();
  it.each([
    [
      "a line taken from under the checkpoint",
      (lines: readonly string[]) => lines.slice(0, -1),
      "the files end after 4: the rest was cut off",
    ],
    [
      "a record changed",
      (lines: readonly string[]) => lines.map((line, index) => (index === 2 ? line.replace("deploy", "delete") : line)),
      "does not follow the line before it",
    ],
    [
      "the last record changed",
      (lines: readonly string[]) => lines.map((line, index) => (index === 4 ? line.replace("deploy", "delete") : line)),
      "is not what the signed checkpoint says",
    ],
    ["a record put in", (lines: readonly string[]) => [...lines, lines[4] ?? ""], "does not follow the line before it"],
    ["nonsense put in", (lines: readonly string[]) => [...lines, "{}"], "is not a record"],
  ])("are not built upon: %s", async (_, change, message) => {
    await using test = await auditDirectory();
    const keys = checkpointKeyPair();
    await writeTrail(test.dir, [someRecords(5)], keys);
    const [file] = await segmentFiles(test.dir);
    await file?.rewrite(change(file.lines));
    await expect(open(test.dir, { signed: await signed(test.dir, keys) })).rejects.toMatchObject({
      code: "audit_unavailable",
      message: expect.stringContaining(message),
    });
  });
});

const mountSmall = (dir: string): unknown =>
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", dir], { stdio: "ignore" });
const unmount = (dir: string): unknown => execFileSync("umount", [dir]);
function canMount(): boolean {
  const dir = mkdtempSync(join(tmpdir(), "stint-mount-"));
  try {
    mountSmall(dir);
    unmount(dir);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(dir);
  }
}
const withSmallDisk = specsIf(canMount(), "this user can mount no small file system here");

describe("a disk that fails", () => {
  const failing = (plan: { append?: number; sync?: number; partial?: boolean }): DiskWriter => ({
    append: async (handle, data) => {
      if (plan.append !== undefined && (plan.append -= 1) < 0) {
        if (plan.partial === true) await handle.appendFile(data.subarray(0, data.length / 2));
        throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
      }
      await handle.appendFile(data);
    },
    sync: async (handle) => {
      if (plan.sync !== undefined && (plan.sync -= 1) < 0) throw Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" });
      await handle.datasync();
    },
  });

  it.each([
    ["full before a byte is written", { append: 1 }, "ENOSPC"],
    ["full in the middle of a record", { append: 1, partial: true }, "ENOSPC"],
    ["unable to keep what it took", { sync: 1 }, "EIO"],
  ])("being %s leaves whole records only", async (_, plan, message) => {
    await using test = await auditDirectory();
    await using files = await open(test.dir, { writer: failing({ ...plan }) });
    await files.append(someRecords(3), NOW);
    await expect(files.append(someRecords(3, { from: [1, 1, 1] }), NOW)).rejects.toMatchObject({
      code: "audit_unavailable",
      message: expect.stringContaining(message),
    });
    await using again = await open(test.dir);
    expect(again.tail.size).toBe(3);
    await again.append(someRecords(3, { from: [1, 1, 1] }), NOW);
    expect(again.tail.size).toBe(6);
  });

  withSmallDisk.it("being really full, a small one, loses nothing that was acknowledged", async () => {
    await using test = await auditDirectory();
    const dir = join(test.dir, "small");
    await mkdir(dir, { mode: 0o700 });
    mountSmall(dir);
    try {
      let written = 0;
      await using files = await open(dir);
      const fill = async (): Promise<void> => {
        for (;;) {
          await files.append(someRecords(50, { buckets: 1, from: [written] }), NOW);
          written += 50;
        }
      };
      await expect(fill()).rejects.toMatchObject({ code: "audit_unavailable", message: expect.stringContaining("ENOSPC") });
      await using again = await open(dir);
      expect(again.tail.size).toBe(written);
      expect(written).toBeGreaterThan(0);
    } finally {
      unmount(dir);
    }
  });
});

describe("somebody else at the files", () => {
  it("who writes to them is noticed before the next record", async () => {
    await using test = await auditDirectory();
    await using files = await open(test.dir);
    await files.append(someRecords(2), NOW);
    await using other = await open(test.dir);
    await other.append(someRecords(1, { from: [1] }), NOW);
    await expect(files.append(someRecords(1, { from: [1] }), NOW)).rejects.toMatchObject({
      code: "audit_unavailable",
      message: expect.stringContaining("Somebody else writes"),
    });
  });

  it.each([
    ["removes", (path: string) => rm(path)],
    ["renames", (path: string) => rename(path, `${path}.old`)],
    ["replaces", async (path: string) => (await rm(path), writeFile(path, "", { mode: 0o600 }))],
  ])("who %s one is noticed before the next record", async (_, deed) => {
    await using test = await auditDirectory();
    await using files = await open(test.dir);
    await files.append(someRecords(2), NOW);
    const [file] = await segmentFiles(test.dir);
    await deed(file?.path ?? "");
    await expect(files.append(someRecords(1, { from: [1] }), NOW)).rejects.toMatchObject({
      code: "audit_unavailable",
      message: expect.stringContaining("was removed or replaced"),
    });
  });
});
