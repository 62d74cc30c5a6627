import { PATTERN_INPUT_MAX } from "./glob.ts";

/** A request's path, decoded once, or why it can be read in more than one way. */
export type ReadPath = { readonly path: string } | { readonly fault: string };

/** What may stand in a path as it is: RFC 3986's pchar without ";" and with the braces of templates. */
const RAW = /^\/[A-Za-z0-9\-._~!$&'()*+,=:@{}%/]*$/;
/** Paths that say nothing but themselves, whatever reads them: most are of this kind. */
const PLAIN = /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9_~.-]*)*\/?$/;
const ENCODED = /%([0-9A-Fa-f]{2})/g;
/** Encoded, they hide a separator, a second encoding or an end from whoever does not decode, and show it to whoever does. */
const NEVER_ENCODED: Readonly<Record<string, string>> = {
  "2f": "an encoded slash",
  "5c": "an encoded backslash",
  "25": "a double encoding",
  "3b": "a path parameter",
  "3f": "an encoded question mark",
  "23": "an encoded number sign",
};

/**
 * Reads the target of a request line (origin form, with or without a query) into the path that is decided on. Decoded exactly once,
 * as UTF-8; the query is left out. Whatever a proxy, a framework or a file system could take for another path is refused and
 * nothing is mended: what was decided must be what is served.
 */
export function readPath(target: string): ReadPath {
  const end = target.indexOf("?");
  const raw = end === -1 ? target : target.slice(0, end);
  if (raw.length > PATTERN_INPUT_MAX) return { fault: `the path is longer than ${PATTERN_INPUT_MAX} characters` };
  if (!raw.startsWith("/")) return { fault: "the target is not a path that begins with a slash" };
  if (PLAIN.test(raw)) return { path: raw };
  if (!RAW.test(raw)) return { fault: rawFault(raw) };
  const decoded = decode(raw);
  return typeof decoded === "string" ? faultless(decoded) : decoded;
}

function rawFault(raw: string): string {
  if (raw.includes("\\")) return "the path holds a backslash";
  if (raw.includes(";")) return "the path holds a path parameter";
  if (raw.includes("#")) return "the path holds a fragment";
  if (/[\u0000-\u0020\u007f]/.test(raw)) return "the path holds a space or a control character";
  return "the path holds a character that belongs percent-encoded";
}

function decode(raw: string): string | { readonly fault: string } {
  if (!raw.includes("%")) return raw;
  if (/%(?![0-9A-Fa-f]{2})/.test(raw)) return { fault: "the path holds a percent sign that encodes nothing" };
  for (const [, hex = ""] of raw.matchAll(ENCODED)) {
    const fault = NEVER_ENCODED[hex.toLowerCase()];
    if (fault !== undefined) return { fault: `the path holds ${fault}` };
  }
  try {
    return decodeURIComponent(raw);
  } catch {
    return { fault: "the path is not UTF-8" };
  }
}

function faultless(path: string): ReadPath {
  const fault = pathFault(path);
  return fault === undefined ? { path } : { fault };
}

/** Why a decoded path, or a pattern over such paths, cannot be read in one way only; undefined when it can. */
export function pathFault(path: string): string | undefined {
  if (!path.startsWith("/")) return "the path does not begin with a slash";
  if (path.includes("//")) return "the path holds two slashes in a row";
  if (/[\\;?#%]/.test(path)) return "the path holds a backslash, a semicolon, a percent sign or the beginning of something else";
  // a segment of dots and spaces is "." or ".." to somebody
  if (/\/[. ]+(?=\/|$)/.test(path)) return "the path holds a segment of dots";
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(path)) return "the path holds a control character";
  // compatibility forms: a full-width slash is a slash to whoever folds it
  if (path.normalize("NFKC") !== path) return "the path holds characters that have another form";
  return undefined;
}

/** The path as the most lenient upstream reads it: no case, no slash, dot or space at an end. */
export function loosePath(path: string): string {
  const segments = path.toLowerCase().split("/").map(withoutTail);
  if (segments.length > 2 && segments.at(-1) === "") segments.pop();
  return segments.join("/");
}

/** A segment without the dots and spaces at its end; by hand, for an expression would go back over a long run of them. */
function withoutTail(segment: string): string {
  let end = segment.length;
  while (end > 0 && (segment[end - 1] === "." || segment[end - 1] === " ")) end -= 1;
  return segment.slice(0, end);
}

/** Whether `loosePath` can tell it from itself. */
export const isLoose = (path: string): boolean => /[\p{Lu}\p{Lt}]|[. ](?:\/|$)|.\/$/u.test(path);
