/** JSON that is refused; the message says why and never quotes the text. */
export class RefusedJson extends Error {
  override readonly name: string = "RefusedJson";
}

/** How deep input from outside may nest. */
export const MAX_JSON_DEPTH = 16;

/**
 * Parses JSON as `JSON.parse` does, and refuses what that lets through: a member that stands twice (RFC 8725bis: parsers differ
 * in which one they believe), names that reach for prototypes, numbers beyond a double, and nesting beyond `maxDepth`. Throws RefusedJson.
 */
export function parseJson(text: string, maxDepth: number = MAX_JSON_DEPTH): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RefusedJson("not valid JSON");
  }
  // JSON.parse keeps one of two members of a name: then the text has more members than the value
  if (countMembers(text) !== inspect(value, maxDepth, maxDepth)) throw new RefusedJson("a member stands twice in one object");
  return value;
}

const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a];

/** Members of all objects in text that is known to be valid JSON: each has one colon outside strings. */
function countMembers(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === COLON) count++;
  }
  return count;
}

/** The next quotation mark that no backslash takes away: one with an even number of them before it. */
function endOfString(text: string, start: number): number {
  let end = start;
  let before = start;
  do {
    end = text.indexOf('"', end + 1);
    before = end;
    while (text.charCodeAt(before - 1) === BACKSLASH) before--;
  } while ((end - before) % 2 === 1);
  return end;
}

/** Members of the value and of everything in it. Throws RefusedJson for what lies too deep and for names that reach for prototypes. */
function inspect(value: unknown, depthLeft: number, maxDepth: number): number {
  if (typeof value !== "object" || value === null) {
    if (typeof value === "number" && !Number.isFinite(value)) throw new RefusedJson("a number is out of range");
    return 0;
  }
  if (depthLeft === 0) throw new RefusedJson(`nested deeper than ${maxDepth} levels`);
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value as readonly unknown[]) count += inspect(item, depthLeft - 1, maxDepth);
    return count;
  }
  const members = value as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(members)) {
    if (name === "__proto__" || name === "constructor" || name === "prototype") throw new RefusedJson("a member name is not allowed here");
    count += 1 + inspect(members[name], depthLeft - 1, maxDepth);
  }
  return count;
}
