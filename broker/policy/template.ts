import type { Claims } from "../../domain/principal.ts";

/** Longest single claim value, and longest rendered text, in characters. Names longer than this are refused, never cut. */
const MAX_VALUE = 1024;
const MAX_RENDERED = 2048;
const MAX_TEMPLATE = 512;

/** A template that compiled. `render` gives undefined when a claim is missing or unfit; `needs` are the references, as written. */
export interface Template {
  readonly render: (claims: Claims) => string | undefined;
  readonly needs: readonly string[];
}

type Part = string | { readonly path: readonly string[] };

/**
 * Compiles `"github/${repository}"`: literal text with references to claims. A reference is the claim's own name, or a JSON
 * Pointer (RFC 6901) when it begins with `/`. Values must be strings, numbers or booleans, not empty, without control characters.
 */
export function compileTemplate(text: string): Template | { readonly error: string } {
  if (text === "") return { error: "is empty; write literal text and ${claim} references" };
  if (text.length > MAX_TEMPLATE) return { error: `is longer than ${MAX_TEMPLATE} characters` };
  if (hasControl(text)) return { error: "holds a control character" };
  const parts: Part[] = [];
  const needs: string[] = [];
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf("${", at);
    if (open < 0) {
      parts.push(text.slice(at));
      break;
    }
    if (open > at) parts.push(text.slice(at, open));
    const close = text.indexOf("}", open);
    if (close < 0) return { error: `has "\${" at column ${open + 1} without a closing "}"` };
    const name = text.slice(open + 2, close);
    const path = claimPath(name);
    if (typeof path === "string") return { error: `refers to "\${${name}}", which ${path}` };
    parts.push({ path });
    needs.push(name);
    at = close + 1;
  }
  return { render: (claims) => render(parts, claims), needs };
}

/** Path of a claim reference: one member for a plain name, the unescaped tokens for a JSON Pointer; a string says what is wrong with it. */
export function claimPath(reference: string): readonly string[] | string {
  if (reference === "") return "names no claim";
  if (reference.includes("${") || /\s/.test(reference)) return "is not a claim's name";
  if (!reference.startsWith("/")) return [reference];
  if (/~(?![01])/.test(reference)) return 'is not a JSON Pointer: "~" must be written "~0", and "/" inside a name "~1"';
  return reference
    .slice(1)
    .split("/")
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The claim at the path; undefined when absent. Only own members count, and arrays are reached by plain indexes. */
export function claimAt(claims: Claims, path: readonly string[]): unknown {
  let value: unknown = claims;
  for (const token of path) {
    if (typeof value !== "object" || value === null) return undefined;
    if (Array.isArray(value) && !/^(?:0|[1-9]\d{0,5})$/.test(token)) return undefined;
    if (!Object.hasOwn(value, token)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[token];
  }
  return value;
}

function render(parts: readonly Part[], claims: Claims): string | undefined {
  let out = "";
  for (const part of parts) {
    const text = typeof part === "string" ? part : scalar(claimAt(claims, part.path));
    if (text === undefined) return undefined;
    out += text;
  }
  return out.length > MAX_RENDERED ? undefined : out;
}

function scalar(value: unknown): string | undefined {
  if (typeof value === "boolean") return String(value);
  // Beyond 2^53 two ids could render alike.
  if (typeof value === "number") return Number.isSafeInteger(value) ? String(value) : undefined;
  if (typeof value !== "string" || value === "" || value.length > MAX_VALUE || hasControl(value)) return undefined;
  return value;
}

/** C0, DEL, C1, the separators that end lines or turn text around, and lone surrogates: none belongs in a name. */
function hasControl(text: string): boolean {
  return /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(text);
}
