import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { StintError } from "../../domain/errors.ts";
import { VERIFIERS } from "../audit/checkpoint-files.ts";
import { parseVerifier, type NoteVerifier } from "../audit/signed-note.ts";
import { reportLines, verifyAudit } from "../audit/verify.ts";

/** `check` of the command line's exit codes. */
const CHECK_FAILED = 9;
const USAGE = 2;

interface Answer {
  readonly code: number;
  readonly text: string;
}

/**
 * `stint audit verify DIRECTORY... [--key FILE]... [--checkpoint FILE]... [--json]`, without a broker. The keys that may sign are
 * read from the files named, a verifier a line; unless any is named, from `checkpoint-keys` beside the records, and then it says so.
 */
export async function auditVerifyCommand(args: readonly string[]): Promise<Answer> {
  try {
    const { values, positionals: dirs } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        key: { type: "string", multiple: true },
        checkpoint: { type: "string", multiple: true },
      },
    });
    if (dirs.length === 0) return { code: USAGE, text: "usage: audit verify DIRECTORY... [--key FILE] [--checkpoint FILE] [--json]" };
    const given = values.key ?? [];
    const beside = dirs.map((dir) => join(dir, VERIFIERS));
    const verifiers = given.length > 0 ? await readVerifiers(given) : await readVerifiers(beside, "optional");
    const anchors = await Promise.all((values.checkpoint ?? []).map(readGiven));
    const report = await verifyAudit(dirs, { verifiers, anchors });
    const code = report.ok ? 0 : CHECK_FAILED;
    const pinned = given.length > 0;
    if (values.json) return { code, text: JSON.stringify({ ...report, keys: pinned ? "given" : "beside the records" }, null, 2) };
    const doubt = pinned
      ? []
      : [`note: the keys were read from beside the records. Keep a copy of ${beside[0]} elsewhere and name it with --key.`];
    return { code, text: [...doubt, ...reportLines(report)].join("\n") };
  } catch (error) {
    return { code: USAGE, text: error instanceof StintError || error instanceof TypeError ? error.message : String(error) };
  }
}

async function readVerifiers(files: readonly string[], optional?: "optional"): Promise<readonly NoteVerifier[]> {
  const texts = await Promise.all(files.map((file) => (optional === undefined ? readGiven(file) : readFile(file, "utf8").catch(() => ""))));
  return texts.flatMap((text, index) =>
    text
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line) => {
        const verifier = parseVerifier(line);
        if (verifier === undefined)
          throw new StintError("invalid_request", `${files[index]} holds a line that is no verifier (name+id+key).`);
        return verifier;
      }),
  );
}

async function readGiven(file: string): Promise<string> {
  return readFile(file, "utf8").catch((cause: unknown) => {
    throw new StintError("invalid_request", `${file} cannot be read.`, {}, { cause });
  });
}

if (process.argv[1] === import.meta.filename) {
  const { code, text } = await auditVerifyCommand(process.argv.slice(2));
  process.stdout.write(`${text}\n`);
  process.exitCode = code;
}
