/** JSON that is refused; the message says why and never quotes the text. */
export class RefusedJson extends Error {
  override readonly name: string = "RefusedJson";
}

/** How deep input from outside may nest (CONTRACT section 7). */
export const MAX_JSON_DEPTH = 16;

/**
 * Parses JSON as `JSON.parse` does, and refuses what that lets through: a member that stands twice (RFC 8725bis: parsers differ
 * in which one they believe), names that reach for prototypes, and nesting beyond `maxDepth`. Throws RefusedJson.
 */
export function parseJson(text: string, maxDepth: number = MAX_JSON_DEPTH): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RefusedJson("not valid JSON");
  }
  inspectMembers(text, maxDepth);
  return value;
}

/** Walks text that is known to be valid JSON: only brackets, strings and commas matter. */
function inspectMembers(text: string, maxDepth: number): void {
  // one entry per open bracket: the names seen so far in an object, undefined for an array
  const open: (Set<string> | undefined)[] = [];
  let nameNext = false;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '"': {
        const end = endOfString(text, at);
        if (nameNext) noteName(text.slice(at, end + 1), open.at(-1));
        nameNext = false;
        at = end;
        break;
      }
      case "{":
      case "[":
        if (open.length >= maxDepth) throw new RefusedJson(`nested deeper than ${maxDepth} levels`);
        nameNext = text[at] === "{";
        open.push(nameNext ? new Set() : undefined);
        break;
      case "}":
      case "]":
        open.pop();
        nameNext = false;
        break;
      case ",":
        nameNext = open.at(-1) !== undefined;
        break;
      default:
    }
  }
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at;
  }
  return text.length;
}

function noteName(quoted: string, names: Set<string> | undefined): void {
  // an escaped name is the same name: "\u0061" is "a"
  const name: unknown = quoted.includes("\\") ? JSON.parse(quoted) : quoted.slice(1, -1);
  if (typeof name !== "string" || names === undefined) return;
  if (name === "__proto__" || name === "constructor" || name === "prototype") throw new RefusedJson("a member name is not allowed here");
  if (names.has(name)) throw new RefusedJson("a member stands twice in one object");
  names.add(name);
}
