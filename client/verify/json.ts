/** JSON that is refused; the message says why and never quotes the text. */
export class RefusedJson extends Error {
  override readonly name: string = "RefusedJson";
}

export type JsonObject = Readonly<Record<string, unknown>>;

const MAX_DEPTH = 16;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Whether the value is a JSON object (neither null nor a list). */
export const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * One JSON object as a token or key set may hold it. Refused beyond what `JSON.parse` refuses: a member that stands twice (two
 * readers would believe different ones), names that reach for prototypes, more than 16 levels. Throws RefusedJson.
 */
export function parseObject(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RefusedJson("not valid JSON");
  }
  if (!isObject(value)) throw new RefusedJson("not a JSON object");
  inspect(text);
  return value;
}

/** Walks text that is known to be valid JSON: only brackets, strings and commas matter. */
function inspect(text: string): void {
  // one entry per open bracket: the names seen so far in an object, undefined for a list
  const open: (string[] | undefined)[] = [];
  let names: string[] | undefined;
  let nameNext = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfString(text, at);
      if (nameNext && names !== undefined) note(text.slice(at, end + 1), names);
      nameNext = false;
      at = end;
    } else if (code === COMMA) {
      nameNext = names !== undefined;
    } else if (code === OPEN_OBJECT || code === OPEN_LIST) {
      if (open.length >= MAX_DEPTH) throw new RefusedJson(`nested deeper than ${MAX_DEPTH} levels`);
      nameNext = code === OPEN_OBJECT;
      names = nameNext ? [] : undefined;
      open.push(names);
    } else if (code === CLOSE_OBJECT || code === CLOSE_LIST) {
      open.pop();
      names = open.at(-1);
      nameNext = false;
    }
  }
}

function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}

const MANY = 64;

function note(quoted: string, names: string[]): void {
  // an escaped name is the same name: "\u0061" is "a"
  const name: unknown = quoted.includes("\\") ? JSON.parse(quoted) : quoted.slice(1, -1);
  if (typeof name !== "string") return;
  if (name === "__proto__" || name === "constructor" || name === "prototype") throw new RefusedJson("a member name is not allowed here");
  // a list is faster than a set for the dozen members that a token has; nobody needs more than a few dozen
  if (names.length >= MANY) throw new RefusedJson(`an object has more than ${MANY} members`);
  if (names.includes(name)) throw new RefusedJson("a member stands twice in one object");
  names.push(name);
}
