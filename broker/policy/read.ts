import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Problem } from "../../domain/errors.ts";
import { MAX_FILE_CHARACTERS } from "./yaml.ts";

const MAX_FILES = 1000;

/** A file of documents: where it is and what it holds. */
export interface Source {
  readonly file: string;
  readonly text: string;
}

/** Reads a file, or every .yaml, .yml and .json file of a folder, in order of name. Hidden files and key sets (JWKS) are not documents. */
export async function readSources(path: string): Promise<{ readonly sources: readonly Source[]; readonly problems: readonly Problem[] }> {
  const problems: Problem[] = [];
  const complain = (file: string, message: string, help?: string): void => {
    problems.push({ file, severity: "error", message, ...(help === undefined ? {} : { help }) });
  };
  let files: readonly string[];
  try {
    files = (await stat(path)).isDirectory() ? await filesOf(path) : [path];
  } catch (error) {
    complain(
      path,
      `cannot be read: ${codeOf(error)}`,
      "STINT_CONFIG names a folder of YAML files, or one file; stint init writes a first one",
    );
    return { sources: [], problems };
  }
  if (files.length > MAX_FILES) {
    complain(path, `holds more than ${MAX_FILES} files`);
    return { sources: [], problems };
  }
  const sources: Source[] = [];
  for (const file of files) {
    try {
      const { size } = await stat(file);
      if (size > 4 * MAX_FILE_CHARACTERS) complain(file, `is larger than ${MAX_FILE_CHARACTERS} characters`, "split it into several files");
      else sources.push({ file, text: new TextDecoder("utf-8", { fatal: true }).decode(await readFile(file)) });
    } catch (error) {
      complain(file, `cannot be read: ${codeOf(error)}`);
    }
  }
  return { sources: sources.filter(({ file, text }) => file === path || !isKeySet(file, text)), problems };
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries
    .filter((entry) => !entry.isDirectory() && !entry.name.startsWith(".") && /\.(?:ya?ml|json)$/i.test(entry.name))
    .map(({ name }) => name);
  return names.toSorted().map((name) => join(folder, name));
}

/** A trust's `jwks_file` lies beside the documents that name it. */
function isKeySet(file: string, text: string): boolean {
  if (!/\.json$/i.test(file)) return false;
  if (/\.jwks\.json$/i.test(file)) return true;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "keys" in value && !("kind" in value);
  } catch {
    return false; // whatever it is, it will be complained of as a document
  }
}

/** Why a file could not be read, for people. */
export const codeOf = (error: unknown): string => {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  if (code === "ENOENT") return "there is no such file";
  if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") return "it is not UTF-8 text";
  return code === "EACCES" || code === "EPERM" ? "not permitted" : typeof code === "string" ? code : "unreadable";
};
