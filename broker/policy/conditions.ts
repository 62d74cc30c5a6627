import type { Claims } from "../../domain/principal.ts";
import type { Condition as ConditionDocument, Scalar } from "./document.ts";
import { compileGlob, literalPrefix, PATTERN_INPUT_MAX } from "../../actions/glob.ts";
import { compileRegex, regexPrefix } from "../../actions/regex.ts";
import { claimAt, claimPath } from "./template.ts";

/** A condition on one claim, compiled. Nothing in it can throw, whatever the claim holds. */
export interface Condition {
  /** As written: a claim's name, or a JSON Pointer. */
  readonly name: string;
  /** Undefined for a plain name, which is looked up directly. */
  readonly pointer: readonly string[] | undefined;
  readonly anchor: boolean;
  /** What is wanted, for the trace. */
  readonly wanted: string;
  /** Given the claim's value; undefined when it is missing. */
  readonly test: (value: unknown) => boolean;
}

/** How a claim is compared, and for which side a doubt counts. */
export interface Comparison {
  readonly foldCase: boolean;
  /** `allow`: what is odd does not match. `deny`: what is odd matches. */
  readonly effect: "allow" | "deny";
  readonly anchor: boolean;
}

type Matcher = (value: unknown) => boolean;

/** Compiles one condition. A string says what is wrong; it is about the condition as a whole. */
export function compileCondition(name: string, document: ConditionDocument, how: Comparison): Condition | string {
  const path = claimPath(name);
  if (typeof path === "string") return `the name ${path}`;
  const test = compileTest(document, how);
  if (typeof test === "string") return test;
  const anchor = how.anchor && pinsSomething(document);
  return { name, pointer: name.startsWith("/") ? path : undefined, anchor, wanted: wantedText(document), test };
}

/** What presets call the claim of a condition: a JSON Pointer of one step is the plain name. */
export function claimKey(name: string): string {
  const path = name.startsWith("/") ? claimPath(name) : undefined;
  const [only] = Array.isArray(path) && path.length === 1 ? (path as readonly string[]) : [];
  return only === undefined || only === "" || only.startsWith("/") ? name : only;
}

/** The claim that a condition is about; undefined when it is missing. Only own members count. */
export function valueOf(claims: Claims, condition: Condition): unknown {
  if (condition.pointer !== undefined) return claimAt(claims, condition.pointer);
  return Object.hasOwn(claims, condition.name) ? claims[condition.name] : undefined;
}

function compileTest(document: ConditionDocument, how: Comparison): Matcher | string {
  if (Array.isArray(document)) return oneOf(document, how.foldCase);
  if (typeof document !== "object") return equal(document, how.foldCase);
  const forms = (["glob", "not", "regex", "includes"] as const).filter((form) => document[form] !== undefined);
  if (forms.length !== 1) return "must hold exactly one of glob, not, regex and includes";
  if (document.split !== undefined && document.includes === undefined) return '"split" belongs to "includes"';
  if (document.includes !== undefined) return includes(document.includes, document.split, how.foldCase);
  if (document.not !== undefined) return not(document.not, how);
  const strict = how.effect === "allow";
  if (document.regex !== undefined) return pattern(compileRegex(document.regex, how.foldCase), strict);
  return globbed(document.glob ?? "", how.foldCase, strict);
}

function equal(wanted: Scalar, foldCase: boolean): Matcher {
  if (typeof wanted !== "string" || !foldCase) return (value) => value === wanted;
  const folded = fold(wanted);
  return (value) => typeof value === "string" && (value === wanted || fold(value) === folded);
}

function oneOf(wanted: readonly Scalar[], foldCase: boolean): Matcher {
  const exact = new Set<unknown>(foldCase ? wanted.map((item) => (typeof item === "string" ? fold(item) : item)) : wanted);
  return foldCase ? (value) => exact.has(typeof value === "string" ? fold(value) : value) : (value) => exact.has(value);
}

/** A missing claim satisfies it; one of another type than it speaks of does not. */
function not(unwanted: Scalar | Scalar[] | { glob: string }, how: Comparison): Matcher | string {
  const isGlob = typeof unwanted === "object" && !Array.isArray(unwanted);
  // Within a `not` the doubt counts for the other side.
  const inner = isGlob
    ? globbed(unwanted.glob, how.foldCase, how.effect === "deny")
    : Array.isArray(unwanted)
      ? oneOf(unwanted, how.foldCase)
      : equal(unwanted, how.foldCase);
  if (typeof inner === "string") return inner;
  const types = new Set<string>(isGlob ? ["string"] : Array.isArray(unwanted) ? unwanted.map((item) => typeof item) : [typeof unwanted]);
  return (value) => value === undefined || (types.has(typeof value) && !inner(value));
}

function includes(wanted: Scalar, split: string | undefined, foldCase: boolean): Matcher | string {
  if (split !== undefined && typeof wanted !== "string") return "includes must be text where the claim is split";
  const member = equal(wanted, foldCase);
  if (split === undefined) return (value) => Array.isArray(value) && value.some(member);
  return (value) => typeof value === "string" && value.split(split).some(member);
}

function globbed(text: string, foldCase: boolean, strict: boolean): Matcher | string {
  const match = compileGlob(foldCase ? fold(text) : text);
  if (typeof match === "string") return match;
  return pattern(foldCase ? (value) => match(fold(value)) : match, strict);
}

/**
 * Only texts match a pattern. Overlong ones and those with control characters (a newline before an anchor) never match where that
 * would allow something, and always where that would deny it.
 */
function pattern(match: ((value: string) => boolean) | string, strict: boolean): Matcher | string {
  if (typeof match === "string") return match;
  return (value) => typeof value === "string" && (isOdd(value) ? !strict : match(value));
}

function isOdd(value: string): boolean {
  if (value.length > PATTERN_INPUT_MAX) return true;
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index);
    if (code < 0x20 || code === 0x7f || code === 0x85 || code === 0x2028 || code === 0x2029) return true;
  }
  return false;
}

/** Folds A to Z only: what other scripts fold to is none of the platforms' rules. */
const fold = (text: string): string => (/[A-Z]/.test(text) ? text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : text);

/** Whether a condition on an anchor claim says whom it means; "anybody but" and bare wildcards do not. */
export function pinsSomething(document: ConditionDocument): boolean {
  if (typeof document !== "object" || Array.isArray(document)) return document !== "";
  if (document.glob !== undefined) return literalPrefix(document.glob) !== "";
  if (document.regex !== undefined) return regexPrefix(document.regex) !== "";
  return document.includes !== undefined;
}

function wantedText(document: ConditionDocument): string {
  if (Array.isArray(document)) return `one of ${document.map((item) => JSON.stringify(item)).join(", ")}`;
  if (typeof document !== "object") return JSON.stringify(document);
  if (document.glob !== undefined) return `glob ${JSON.stringify(document.glob)}`;
  if (document.regex !== undefined) return `regex ${JSON.stringify(document.regex)}`;
  if (document.includes !== undefined)
    return `includes ${JSON.stringify(document.includes)}${document.split === undefined ? "" : `, split at ${JSON.stringify(document.split)}`}`;
  const { not: unwanted } = document;
  if (Array.isArray(unwanted)) return `none of ${unwanted.map((item) => JSON.stringify(item)).join(", ")}`;
  return typeof unwanted === "object" ? `not glob ${JSON.stringify(unwanted.glob)}` : `not ${JSON.stringify(unwanted)}`;
}
