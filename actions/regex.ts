import { RE2JS } from "re2js";

/** Most instructions a compiled expression may have: matching costs at most this times the characters of the value. */
const MAX_PROGRAM = 2000;

/** An expression without any operator: most that are written are only a path with its dots escaped. */
const LITERAL = /^\^((?:[A-Za-z0-9_/:@%=,-]|\\[^A-Za-z0-9])*)\$$/;

/**
 * Compiles a regular expression in RE2's syntax (linear time: no backtracking, no lookaround, no back references). It must be
 * written `^...$` and must match the whole value, so that an alternative cannot slip past an anchor. A string says what is wrong.
 */
export function compileRegex(source: string, foldCase: boolean): ((value: string) => boolean) | string {
  if (!source.startsWith("^") || !endsAnchored(source)) return "is not anchored: write ^...$";
  const literal = LITERAL.exec(source)?.[1]?.replace(/\\(.)/g, "$1");
  if (literal !== undefined && !foldCase) return (value) => value === literal;
  const exact = compile(source, 0);
  if (typeof exact === "string" || !foldCase) return exact;
  const folded = compile(source, RE2JS.CASE_INSENSITIVE);
  if (typeof folded === "string") return folded;
  // Unicode folding would let the Kelvin sign pass for a "k": other scripts are compared as they are written.
  return (value) => (isAscii(value) ? folded(value) : exact(value));
}

function compile(source: string, flags: number): ((value: string) => boolean) | string {
  try {
    const compiled = RE2JS.compile(source, flags);
    if (compiled.programSize() > MAX_PROGRAM) return "is too large once its repetitions are written out";
    return (value) => compiled.testExact(value);
  } catch (error) {
    return `cannot be compiled: ${(error instanceof Error ? error.message : String(error)).replace(/^error parsing regexp: /, "").slice(0, 200)}`;
  }
}

/** Ends in a `$` that is not itself escaped. */
function endsAnchored(source: string): boolean {
  const backslashes = /(\\*)\$$/.exec(source);
  return backslashes !== null && (backslashes[1]?.length ?? 0) % 2 === 0;
}

const isAscii = (value: string): boolean => {
  for (let index = 0; index < value.length; index++) if (value.charCodeAt(index) > 0x7f) return false;
  return true;
};

/** The text a value must begin with, as far as it can be read off the expression. */
export function regexPrefix(source: string): string {
  if (hasTopLevelAlternative(source)) return "";
  const literal = /^\^((?:[A-Za-z0-9_/:@%=,-]|\\[^A-Za-z0-9])*)/.exec(source)?.[1] ?? "";
  const next = source[1 + literal.length];
  // A repetition belongs to the last character before it, which may then be absent.
  const sure = next !== undefined && "*?{".includes(next) ? literal.replace(/(?:\\.|.)$/, "") : literal;
  return sure.replace(/\\(.)/g, "$1");
}

function hasTopLevelAlternative(source: string): boolean {
  let depth = 0;
  let inClass = false;
  for (let index = 0; index < source.length; index++) {
    const letter = source[index];
    if (letter === "\\") index++;
    else if (inClass) inClass = letter !== "]";
    else if (letter === "[") inClass = true;
    else if (letter === "(") depth++;
    else if (letter === ")") depth--;
    else if (letter === "|" && depth === 0) return true;
  }
  return false;
}
