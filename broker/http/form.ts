import { StintError } from "../../domain/errors.ts";

/** Parameters that RFC 8693 and RFC 8707 let a caller repeat. Everything else may stand once. */
const REPEATABLE: ReadonlySet<string> = new Set(["resource", "audience"]);
const MAX_PARAMETERS = 100;

/** Parameters of a form or a query: repeatable ones as lists, all others as texts. */
export type Parameters = Readonly<Record<string, string | readonly string[]>>;

/**
 * Reads `application/x-www-form-urlencoded` text flat: no brackets, no nesting, each name once (RFC 6749 section 3.2). An empty
 * value counts as absent. Throws `invalid_request` for a name that stands twice, bad percent-encoding or a NUL.
 */
export function parseForm(text: string, repeatable: ReadonlySet<string> = REPEATABLE): Parameters {
  const parameters: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  if (text === "") return parameters;
  const pairs = text.split("&");
  if (pairs.length > MAX_PARAMETERS) throw new StintError("invalid_request", `more than ${MAX_PARAMETERS} parameters`);
  const seen = new Set<string>();
  for (const pair of pairs) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = decode(equals === -1 ? pair : pair.slice(0, equals));
    const value = equals === -1 ? "" : decode(pair.slice(equals + 1));
    refuseName(name);
    if (repeatable.has(name)) {
      if (value !== "") ((parameters[name] ??= []) as string[]).push(value);
      continue;
    }
    // counted before an empty value is dropped: `token=&token=x` is still twice
    if (seen.has(name))
      throw new StintError("invalid_request", "a parameter stands twice", { errors: [{ path: printable(name), message: "stands twice" }] });
    seen.add(name);
    if (value !== "") parameters[name] = value;
  }
  return parameters;
}

/** The parameters of a URL's query, each at most once. */
export function parseQuery(url: string): Parameters {
  const mark = url.indexOf("?");
  return mark === -1 ? {} : parseForm(url.slice(mark + 1), new Set());
}

function refuseName(name: string): void {
  if (name.includes("[") || name.includes("__proto__") || name.startsWith("constructor") || name === "prototype") {
    throw new StintError("invalid_request", "a parameter has a name that is not allowed: parameters are flat");
  }
}

/** Names of grants, of token types and of what is asked: the same in request after request, and no secrets. */
const SAME = /^(?:urn|grant)%3A[\w%.:-]{1,120}$/i;
const DECODED = new Map<string, string>();
const MOST_DECODED = 256;

function decode(part: string): string {
  // three looks for a character each are faster than one for any of them: most of a form is one long token
  if (!part.includes("%") && !part.includes("+") && !part.includes("\0")) return part;
  const known = DECODED.get(part);
  if (known !== undefined) return known;
  try {
    const decoded = decodeURIComponent(part.replaceAll("+", " "));
    if (!decoded.includes("\0")) return remember(part, decoded);
  } catch {
    // falls through to the refusal
  }
  throw new StintError("invalid_request", "a parameter is not percent-encoded UTF-8 text");
}

function remember(part: string, decoded: string): string {
  if (!SAME.test(part)) return decoded;
  if (DECODED.size >= MOST_DECODED) DECODED.clear(); // strangers may send what they like
  DECODED.set(part, decoded);
  return decoded;
}

const printable = (name: string): string => name.slice(0, 64).replaceAll(/[^\x20-\x7e]/g, "?");
