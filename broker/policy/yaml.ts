import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, visit, type Document, type Node } from "yaml";
import type { Problem } from "../../domain/errors.ts";

/** Larger files are refused before they are parsed. */
export const MAX_FILE_CHARACTERS = 1_048_576;
const MAX_DEPTH = 32;
const MAX_NODES = 100_000;

export type Path = readonly (string | number)[];
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** One document of a file: its plain value, and where each part of it was written. */
export interface Located {
  readonly file: string;
  readonly value: unknown;
  /** Where the value at the path begins; for a path that is not there, the nearest thing around it. `key`: where its name is written. */
  place(path: Path, what?: "key" | "value"): Place;
  /** Place of a character inside a string that was written on one line without escapes; else where the string begins. */
  placeIn(path: Path, offset: number): Place;
}

/** Parses every document of a YAML (or JSON) text. What YAML allows beyond plain data is refused: aliases, tags, duplicate keys, odd keys. */
export function parseYaml(file: string, text: string): { readonly documents: readonly Located[]; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const problem = (place: Place, message: string, help?: string): void => {
    problems.push({ file, ...place, severity: "error", message, ...(help === undefined ? {} : { help }) });
  };
  if (text.length > MAX_FILE_CHARACTERS) {
    problem({ line: 1, column: 1 }, `is larger than ${MAX_FILE_CHARACTERS} characters`, "split it into several files");
    return { documents: [], problems };
  }
  const lines = new LineCounter();
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const documents: Located[] = [];
  try {
    const parsed = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      logLevel: "silent",
      stringKeys: true,
      uniqueKeys: true,
      merge: false,
    });
    for (const document of Array.isArray(parsed) ? parsed : []) {
      const before = problems.length;
      for (const fault of [...document.errors, ...document.warnings]) problem(placeAt(fault.pos[0]), sentence(fault.message));
      if (problems.length === before)
        refuseOddities(document, (node, message, help) => problem(placeAt(node.range?.[0] ?? 0), message, help));
      if (problems.length === before && document.contents !== null) documents.push(locate(file, text, document, placeAt));
    }
  } catch (error) {
    // The composer recurses: nesting deep enough to exhaust its stack ends here.
    const deep = error instanceof RangeError;
    problem(
      { line: 1, column: 1 },
      deep ? "is nested too deeply" : `cannot be read as YAML: ${sentence(error instanceof Error ? error.message : "")}`,
    );
  }
  return { documents, problems };
}

const sentence = (message: string): string => (message.split("\n", 1)[0] ?? "").slice(0, 300);

type Complain = (node: Node, message: string, help?: string) => void;

/** One walk over a document, for what YAML allows and a policy must not hold. */
function refuseOddities(document: Document.Parsed, complain: Complain): void {
  let count = 0;
  visit(document, {
    Alias: (_, node) => complain(node, "aliases are not allowed", "write the value out"),
    Node: (key, node, path) => {
      if (++count > MAX_NODES) {
        complain(node, `holds more than ${MAX_NODES} values`, "split it into several files");
        return visit.BREAK;
      }
      if (path.length > 2 * MAX_DEPTH) {
        complain(node, `is nested deeper than ${MAX_DEPTH} levels`);
        return visit.BREAK;
      }
      if (!isAlias(node) && node.anchor !== undefined) complain(node, "anchors are not allowed", "write the value out where it is needed");
      if (!isAlias(node) && node.tag !== undefined && !isScalarTag(node.tag))
        complain(node, `the tag ${node.tag} is not allowed`, "write plain data");
      if (isScalar(node)) refuseScalar(node, key === "key", complain);
      return undefined;
    },
  });
}

const isScalarTag = (tag: string): boolean => /^tag:yaml\.org,2002:(?:str|int|float|bool|null|map|seq)$/.test(tag);

function refuseScalar(node: Node & { readonly value: unknown }, isKey: boolean, complain: Complain): void {
  const { value } = node;
  if (isKey && value === "__proto__") complain(node, '"__proto__" is not a name that may be used');
  if (typeof value !== "number" || isKey) return;
  if (!Number.isFinite(value)) complain(node, "is not a number that JSON can hold");
  else if (Number.isInteger(value) && !Number.isSafeInteger(value))
    complain(node, "is a number too large to be kept exactly", "put it in quotes");
}

function locate(file: string, text: string, document: Document.Parsed, placeAt: (offset: number) => Place): Located {
  const start = document.contents?.range?.[0] ?? 0;
  const find = (path: Path): { readonly offset: number; readonly node: unknown; readonly keyOffset: number } => {
    let node: unknown = document.contents;
    let found = { offset: start, node, keyOffset: start };
    for (const step of path) {
      const pair = isMap(node) ? node.items.find((item) => isScalar(item.key) && item.key.value === step) : undefined;
      const next: unknown = pair ? pair.value : isSeq(node) ? node.items[Number(step)] : undefined;
      const keyOffset = isScalar(pair?.key) ? (pair.key.range?.[0] ?? found.offset) : undefined;
      if (keyOffset === undefined && next === undefined) return found;
      const offset = (next as Node | null | undefined)?.range?.[0] ?? keyOffset ?? found.offset;
      found = { offset, node: next, keyOffset: keyOffset ?? offset };
      node = next;
    }
    return found;
  };
  return {
    file,
    value: document.toJS({ maxAliasCount: 0 }) as unknown,
    place: (path, what = "value") => {
      const found = find(path);
      return placeAt(what === "key" ? found.keyOffset : found.offset);
    },
    placeIn: (path, inside) => {
      const { node, offset } = find(path);
      if (!isScalar(node) || typeof node.value !== "string") return placeAt(offset);
      const quote = node.type === "PLAIN" ? 0 : 1;
      const asWritten = text.startsWith(node.value, offset + quote);
      return placeAt(asWritten ? offset + quote + Math.min(inside, node.value.length) : offset);
    },
  };
}
