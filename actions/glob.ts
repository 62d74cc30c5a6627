/** Patterns and values longer than this never meet: a wildcard cannot be made to work on a text without bound. */
export const PATTERN_INPUT_MAX = 4096;

const LITERAL = 0;
const WITHIN = 1; // `*`
const ACROSS = 2; // `**`

interface Token {
  readonly kind: typeof LITERAL | typeof WITHIN | typeof ACROSS;
  readonly code: number;
}

/**
 * Compiles a glob: `*` matches any run of characters but "/" and ":", `**` any run at all, everything else itself; the whole value
 * must match. Work is bounded by (tokens x characters) whatever the value. A string says what is wrong with the pattern.
 */
export function compileGlob(pattern: string): ((value: string) => boolean) | string {
  if (/\*{3,}/.test(pattern)) return 'has three or more "*" in a row; write * or **';
  const tokens = tokensOf(pattern);
  const first = tokens.findIndex((token) => token.kind !== LITERAL);
  if (first < 0) return (value) => value === pattern;
  const prefix = pattern.slice(0, pattern.indexOf("*"));
  const suffix = pattern.slice(pattern.lastIndexOf("*") + 1);
  const wildcards = tokens.filter((token) => token.kind !== LITERAL);
  const fits = (value: string): boolean =>
    value.length >= prefix.length + suffix.length && value.startsWith(prefix) && value.endsWith(suffix);
  if (wildcards.length === 1) {
    if (wildcards[0]?.kind === ACROSS) return fits;
    return (value) => fits(value) && !crosses(value, prefix.length, value.length - suffix.length);
  }
  return (value) => fits(value) && simulate(tokens, value);
}

/** Text before the first wildcard. */
export const literalPrefix = (pattern: string): string => pattern.slice(0, pattern.includes("*") ? pattern.indexOf("*") : pattern.length);

function tokensOf(pattern: string): Token[] {
  const tokens: Token[] = [];
  for (let index = 0; index < pattern.length; index++) {
    if (pattern[index] !== "*") tokens.push({ kind: LITERAL, code: pattern.charCodeAt(index) });
    else if (pattern[index + 1] === "*") tokens.push({ kind: ACROSS, code: (index++, 0) });
    else tokens.push({ kind: WITHIN, code: 0 });
  }
  return tokens;
}

const isSeparator = (code: number): boolean => code === 0x2f || code === 0x3a;

function crosses(value: string, from: number, to: number): boolean {
  for (let index = from; index < to; index++) if (isSeparator(value.charCodeAt(index))) return true;
  return false;
}

/** All positions of the pattern at once, one step per character: no pattern and no value can make it go back. */
function simulate(tokens: readonly Token[], value: string): boolean {
  let states = new Uint8Array(tokens.length + 1);
  let next = new Uint8Array(tokens.length + 1);
  states[0] = 1;
  spread(tokens, states);
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    next.fill(0);
    for (let position = 0; position < tokens.length; position++) {
      if (states[position] === 0) continue;
      const token = tokens[position];
      if (token === undefined) continue;
      if (token.kind === LITERAL ? token.code === code : token.kind === ACROSS || !isSeparator(code))
        next[token.kind === LITERAL ? position + 1 : position] = 1;
    }
    spread(tokens, next);
    [states, next] = [next, states];
  }
  return states[tokens.length] === 1;
}

/** A wildcard may stand for nothing: whoever is before it is also after it. */
function spread(tokens: readonly Token[], states: Uint8Array): void {
  for (let position = 0; position < tokens.length; position++) {
    if (states[position] === 1 && tokens[position]?.kind !== LITERAL) states[position + 1] = 1;
  }
}
