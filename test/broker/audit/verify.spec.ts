import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { canonical, lineHash } from "../../../broker/audit/canonical.ts";
import { reportLines, verifyAudit } from "../../../broker/audit/verify.ts";
import { auditDirectory, checkpointKeyPair, segmentFiles, someRecords, writeTrail } from "../../support/audit-files.ts";

const keys = checkpointKeyPair();
const verify = (dirs: readonly string[], anchors: readonly string[] = []) => verifyAudit(dirs, { verifiers: [keys.verifier], anchors });
/** Nine records in three batches over two files. */
const trail = async () => {
  const directory = await auditDirectory();
  const records = someRecords(9);
  await writeTrail(directory.dir, [records.slice(0, 4), records.slice(4, 6), records.slice(6)], keys, { segmentBytes: 900 });
  const files = await segmentFiles(directory.dir);
  return { ...directory, records, files, [Symbol.asyncDispose]: directory[Symbol.asyncDispose] };
};
const first = async (dir: string) => {
  const [file] = await segmentFiles(dir);
  if (file === undefined) throw new Error("no file");
  return file;
};
const swapped = (lines: readonly string[], a: number, b: number): string[] => {
  const copy = [...lines];
  [copy[a], copy[b]] = [copy[b] ?? "", copy[a] ?? ""];
  return copy;
};

describe("an audit trail that nobody touched", () => {
  it("is found whole, over all its files", async () => {
    await using test = await trail();
    expect(test.files.length).toBeGreaterThan(1);
    const report = await verify([test.dir]);
    expect(report).toMatchObject({ ok: true, records: 9, problems: [], more: 0, notes: [] });
    expect(report.directories).toMatchObject([{ first: 0, records: 9, checkpoints: 4, unsigned: 0 }]);
    expect(reportLines(report).at(-1)).toBe("9 records, 4 checkpoints: nothing was changed, taken out or moved");
  });

  it("may be empty", async () => {
    await using test = await auditDirectory();
    expect(await verify([test.dir])).toMatchObject({ ok: true, records: 0 });
  });

  it("must be there", async () => {
    await expect(verify(["/nowhere/at/all"])).rejects.toMatchObject({
      code: "invalid_request",
      message: expect.stringContaining("/nowhere/at/all"),
    });
  });
});

describe("a trail that was tampered with is found out, and the place named:", () => {
  it("one character of a record", async () => {
    await using test = await trail();
    const file = await first(test.dir);
    await file.rewrite(file.lines.map((line, index) => (index === 1 ? line.replace("github:1", "github:9") : line)));
    const report = await verify([test.dir]);
    expect(report.problems[0]).toMatchObject({ kind: "changed", line: 2, bucket: 1, seq: 1, file: file.path });
    const { length } = report.problems;
    expect(reportLines(report).at(-1)).toBe(`9 records, ${length} problem${length === 1 ? "" : "s"}`);
  });

  it("a record rewritten with all links after it mended", async () => {
    await using test = await trail();
    let head = "0".repeat(64);
    for (const file of test.files) {
      const lines = file.lines.map((line) => {
        const changed = canonical({
          ...(JSON.parse(line) as object),
          prev: head,
          ...(line.includes('"n":2') && { principal: "somebody else" }),
        });
        head = lineHash(changed);
        return changed;
      });
      await file.rewrite(lines);
    }
    const { ok, problems } = await verify([test.dir]);
    expect(ok).toBe(false);
    expect(problems).toContainEqual(
      expect.objectContaining({
        kind: "changed",
        file: join(test.dir, "checkpoints.ndjson"),
        line: 1,
        message: expect.stringContaining("vouches for another record"),
      }),
    );
  });

  it("a line taken out", async () => {
    await using test = await trail();
    const file = await first(test.dir);
    await file.rewrite(file.lines.filter((_, index) => index !== 2));
    const { problems } = await verify([test.dir]);
    expect(problems).toContainEqual(
      expect.objectContaining({
        kind: "missing",
        line: 3,
        bucket: 2,
        seq: 1,
        message: "record 1 of bucket 2 was taken out before this line",
      }),
    );
  });

  it("two lines swapped", async () => {
    await using test = await trail();
    const file = await first(test.dir);
    await file.rewrite(swapped(file.lines, 1, 2));
    const { problems } = await verify([test.dir]);
    expect(problems.filter(({ kind }) => kind === "reordered").map(({ line }) => line)).toEqual(expect.arrayContaining([2, 3]));
  });

  it("a line written twice", async () => {
    await using test = await trail();
    const file = await first(test.dir);
    await file.rewrite(file.lines.flatMap((line, index) => (index === 1 ? [line, line] : [line])));
    const { problems } = await verify([test.dir]);
    expect(problems).toContainEqual(expect.objectContaining({ kind: "duplicated", line: 3, bucket: 1, seq: 1 }));
  });

  it("the end cut off", async () => {
    await using test = await trail();
    const last = test.files.at(-1);
    await last?.rewrite(last.lines.slice(0, -1));
    const { problems } = await verify([test.dir]);
    expect(problems[0]).toMatchObject({ kind: "cut", bucket: 2, seq: 3, message: expect.stringContaining("is the last of 8 records") });
  });

  it("a whole file at the end taken away", async () => {
    await using test = await trail();
    await rm(test.files.at(-1)?.path ?? "");
    expect((await verify([test.dir])).problems[0]).toMatchObject({ kind: "cut" });
  });

  it("every file taken away", async () => {
    await using test = await trail();
    for (const file of test.files) await rm(file.path);
    expect((await verify([test.dir])).problems[0]).toMatchObject({
      kind: "cut",
      message: expect.stringContaining("is the last of 0 records"),
    });
  });

  it("the first file taken away, unless a signed checkpoint says where the next begins", async () => {
    await using test = await auditDirectory();
    const records = someRecords(9);
    await writeTrail(test.dir, [records.slice(0, 4), records.slice(4)], keys, { segmentBytes: 1 });
    const [oldest] = await segmentFiles(test.dir);
    await rm(oldest?.path ?? "");
    const attested = await verify([test.dir]);
    expect(attested).toMatchObject({ ok: true, directories: [{ first: 4, records: 5 }] });
    expect(attested.notes[0]).toContain("the files before it are elsewhere");
    await rm(join(test.dir, "checkpoints.ndjson"));
    expect((await verify([test.dir])).problems[0]).toMatchObject({
      kind: "missing",
      message: "begins at record 4, and no checkpoint vouches for what went before",
    });
  });

  it("the end cut off together with the checkpoints that tell of it, when one was kept elsewhere", async () => {
    await using test = await trail();
    const kept = await readFile(join(test.dir, "checkpoint"), "utf8");
    const [earlier] = (await readFile(join(test.dir, "checkpoints.ndjson"), "utf8")).split("\n");
    await writeFile(join(test.dir, "checkpoints.ndjson"), `${earlier}\n`);
    await writeFile(join(test.dir, "checkpoint"), (JSON.parse(earlier ?? "") as { note: string }).note);
    for (const file of test.files.slice(1)) await rm(file.path);
    const file = await first(test.dir);
    await file.rewrite(file.lines.slice(0, 4));
    expect(await verify([test.dir])).toMatchObject({ ok: true, records: 4 });
    expect((await verify([test.dir], [kept])).problems).toMatchObject([
      { kind: "cut", message: expect.stringContaining("vouches for 9 records that no directory holds") },
    ]);
  });

  it("everything signed anew with another key", async () => {
    await using test = await auditDirectory();
    await writeTrail(test.dir, [someRecords(4)], checkpointKeyPair());
    const { problems } = await verify([test.dir]);
    expect(problems).toContainEqual(
      expect.objectContaining({
        kind: "signature",
        file: join(test.dir, "checkpoint"),
        message: "cannot be believed: none of the known keys signed it",
      }),
    );
  });

  it("a checkpoint changed", async () => {
    await using test = await trail();
    const path = join(test.dir, "checkpoint");
    await writeFile(path, (await readFile(path, "utf8")).replace("\n9\n", "\n8\n"));
    expect((await verify([test.dir])).problems[0]).toMatchObject({
      kind: "signature",
      file: path,
      message: "cannot be believed: its signature does not fit what it says",
    });
  });

  it("no checkpoint at all", async () => {
    await using test = await trail();
    await rm(join(test.dir, "checkpoint"));
    await rm(join(test.dir, "checkpoints.ndjson"));
    expect((await verify([test.dir])).problems[0]).toMatchObject({ kind: "unsigned" });
  });

  it("two writers in one file", async () => {
    await using test = await auditDirectory();
    await writeTrail(test.dir, [someRecords(3, { buckets: 1 })], keys);
    const file = await first(test.dir);
    const forked = canonical({ ...someRecords(1, { buckets: 1, from: [3] })[0], prev: lineHash(file.lines[1] ?? "") });
    await file.rewrite([...file.lines, forked]);
    expect((await verify([test.dir])).problems[0]).toMatchObject({ kind: "two_writers", line: 4, bucket: 0, seq: 4 });
  });

  it("a record that is none", async () => {
    await using test = await trail();
    const file = await first(test.dir);
    await file.rewrite(["nonsense", ...file.lines.slice(1)]);
    expect((await verify([test.dir])).problems).toContainEqual(expect.objectContaining({ kind: "unreadable", line: 1 }));
  });

  it("a gap in a bucket's sequence, though every link holds", async () => {
    await using test = await auditDirectory();
    await writeTrail(test.dir, [someRecords(4, { buckets: 1 }).filter(({ seq }) => seq !== 2 && seq !== 3)], keys);
    expect((await verify([test.dir])).problems).toMatchObject([
      { kind: "gap", line: 2, bucket: 0, seq: 2, message: expect.stringContaining("Records 2 to 3 of bucket 0") },
    ]);
  });

  it("a sequence used twice, though every link holds", async () => {
    await using test = await auditDirectory();
    const records = someRecords(3, { buckets: 1 });
    await writeTrail(test.dir, [[...records, ...records.slice(1, 2)]], keys);
    expect((await verify([test.dir])).problems).toMatchObject([{ kind: "duplicated", line: 4, bucket: 0, seq: 2 }]);
  });
});

describe("half a record at the very end", () => {
  it("is a crash and no crime: a note, not a problem", async () => {
    await using test = await trail();
    const last = test.files.at(-1);
    await writeFile(last?.path ?? "", `${last?.lines.join("\n")}\n{"action":"lea`);
    const report = await verify([test.dir]);
    expect(report.ok).toBe(true);
    expect(report.notes[0]).toContain("is half a record");
  });
});

describe("several directories, because several brokers exported", () => {
  it("are whole together though each has gaps", async () => {
    await using one = await auditDirectory();
    await using two = await auditDirectory();
    const records = someRecords(12, { buckets: 2 });
    await writeTrail(one.dir, [records.slice(0, 4)], keys);
    await writeTrail(two.dir, [records.slice(4, 8)], keys);
    await writeTrail(one.dir, [records.slice(8)], keys);
    expect((await verify([one.dir])).problems.map(({ kind }) => kind)).toEqual(["gap", "gap"]);
    expect(await verify([one.dir, two.dir])).toMatchObject({ ok: true, records: 12 });
    expect(await verify([two.dir, one.dir])).toMatchObject({ ok: true, records: 12 });
  });

  it("may hold the same record when one broker took over, if both say the same of it", async () => {
    await using one = await auditDirectory();
    await using two = await auditDirectory();
    const records = someRecords(8, { buckets: 2 });
    await writeTrail(one.dir, [records.slice(0, 5)], keys);
    await writeTrail(two.dir, [records.slice(3)], keys);
    const report = await verify([one.dir, two.dir]);
    expect(report).toMatchObject({ ok: true, records: 10 });
    expect(report.notes[0]).toContain("2 records lie in more than one directory");
    await using three = await auditDirectory();
    await writeTrail(three.dir, [records.slice(3).map((record) => (record.n === 4 ? { ...record, principal: "x" } : record))], keys);
    expect((await verify([one.dir, three.dir])).problems).toMatchObject([{ kind: "changed", line: 2, bucket: 0, seq: 3 }]);
  });
});

describe("whatever is done to any record", () => {
  it("does not stay hidden: a bit flipped, a line taken out, two swapped, a line copied, the end cut", async () => {
    await using source = await trail();
    let round = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("flip", "delete", "swap", "copy", "cut"),
        fc.nat(),
        fc.nat(),
        fc.integer({ min: 0, max: 7 }),
        async (deed, a, b, bit) => {
          const dir = join(source.dir, `copy-${(round += 1)}`);
          await mkdir(dir);
          for (const name of ["checkpoint", "checkpoints.ndjson"]) await copyFile(join(source.dir, name), join(dir, name));
          for (const { path } of source.files) await copyFile(path, join(dir, basename(path)));
          const files = await segmentFiles(dir);
          const file = files[a % files.length];
          if (file === undefined) throw new Error("no file");
          const at = b % file.lines.length;
          if (deed === "flip") {
            const bytes = await readFile(file.path);
            bytes[b % bytes.length] = (bytes[b % bytes.length] ?? 0) ^ (1 << bit);
            await writeFile(file.path, bytes);
          } else if (deed === "delete") await file.rewrite(file.lines.filter((_, index) => index !== at));
          else if (deed === "swap") {
            if (file.lines.length < 2) return;
            await file.rewrite(swapped(file.lines, at, (at + 1) % file.lines.length));
          } else if (deed === "copy") await file.rewrite(file.lines.flatMap((line, index) => (index === at ? [line, line] : [line])));
          else {
            for (const { path } of files.slice((a % files.length) + 1)) await rm(path);
            await file.rewrite(file.lines.slice(0, at));
          }
          const report = await verify([dir]);
          expect({ deed, ok: report.ok }).toEqual({ deed, ok: false });
          await rm(dir, { recursive: true });
        },
      ),
      { numRuns: 150 },
    );
  });
});
