import { z } from "zod";
import type { Problem } from "../../domain/errors.ts";
import { suggestion } from "./nearest.ts";
import type { Located, Path } from "./yaml.ts";

/** Collects the mistakes of one document, each with its place. */
export interface Complaints {
  readonly located: Located;
  /** Name of the document, or `document 2` where it has none. */
  readonly title: string;
  add(
    path: Path,
    message: string,
    more?: {
      readonly help?: string;
      readonly rule?: string;
      readonly severity?: Problem["severity"];
      readonly offset?: number;
      readonly at?: "key";
    },
  ): void;
}

/** Complaints about a document, collected into `problems`. */
export function complaintsOf(located: Located, title: string, problems: Problem[]): Complaints {
  return {
    located,
    title,
    add: (path, message, more = {}) => {
      const place = more.offset === undefined ? located.place(path, more.at) : located.placeIn(path, more.offset);
      problems.push({
        file: located.file,
        ...place,
        path: pathText(title, path),
        severity: more.severity ?? "error",
        message,
        ...(more.help === undefined ? {} : { help: more.help }),
        ...(more.rule === undefined ? {} : { rule: more.rule }),
      });
    },
  };
}

/** `deploy-prod.allow[0].claims.ref` */
export function pathText(title: string, path: Path): string {
  let text = title;
  for (const step of path)
    text += typeof step === "number" ? `[${step}]` : /^[A-Za-z_][\w-]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
  return text;
}

type Parsed<T> = { readonly value: T | undefined; readonly clean: boolean };

/**
 * Parses a value with a schema and complains of everything that is wrong. Where the only mistakes are unknown members the value
 * without them is returned too, so that what else is wrong with it can be said at the same time.
 */
export function parseWith<T>(schema: z.ZodType<T>, value: unknown, complaints: Complaints, base: Path = []): Parsed<T> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return { value: result.data, clean: true };
  const issues = result.error.issues.flatMap((issue) => sharpen(issue, []));
  for (const { issue, path } of issues) complain(schema, issue, path, complaints, base);
  if (!issues.every(({ issue }) => issue.code === "unrecognized_keys")) return { value: undefined, clean: false };
  const pruned: unknown = structuredClone(value);
  for (const { issue, path } of issues) if (issue.code === "unrecognized_keys") prune(pruned, path, issue.keys);
  const again = schema.safeParse(pruned);
  return { value: again.success ? again.data : undefined, clean: false };
}

type Issue = z.core.$ZodIssue;
interface Sharp {
  readonly issue: Issue;
  readonly path: (string | number)[];
}

/** A union's failure becomes the failure of the branch that was meant: the one whose kind of value was written. */
function sharpen(issue: Issue, base: readonly (string | number)[]): Sharp[] {
  const path = [...base, ...issue.path.map((step) => (typeof step === "symbol" ? String(step) : step))];
  if (issue.code === "invalid_key") return issue.issues.flatMap((inner) => sharpen({ ...inner, path: [] }, path));
  if (issue.code !== "invalid_union") return [{ issue, path }];
  const meant = issue.errors.find(
    (branch) =>
      branch.length > 0 &&
      branch.every((inner) => inner.path.length > 0 || (inner.code !== "invalid_type" && inner.code !== "invalid_union")),
  );
  return meant === undefined ? [{ issue, path }] : meant.flatMap((inner) => sharpen(inner, path));
}

function complain(schema: z.ZodType, issue: Issue, path: Path, complaints: Complaints, base: Path): void {
  const full = [...base, ...path];
  if (issue.code === "unrecognized_keys") {
    const known = knownMembers(schema, path);
    for (const key of issue.keys) complaints.add([...full, key], `unknown member "${key}"`, { help: suggestion(key, known), at: "key" });
    return;
  }
  if (issue.code === "invalid_type" && issue.input === undefined) {
    const name = path.at(-1);
    complaints.add(full, typeof name === "string" ? `"${name}" is missing` : "is missing", { help: `expected ${expected(issue)}` });
    return;
  }
  if (issue.code === "invalid_type") {
    complaints.add(full, issue.message.startsWith("Invalid input") ? `must be ${expected(issue)}` : issue.message);
    return;
  }
  if (issue.code === "invalid_value") {
    const values = issue.values.map(String);
    const text = typeof issue.input === "string" ? suggestion(issue.input, values) : undefined;
    const message = issue.message.startsWith("Invalid")
      ? `must be ${values.length === 1 ? `"${values[0] ?? ""}"` : `one of ${values.join(", ")}`}`
      : issue.message;
    complaints.add(full, message, text === undefined ? {} : { help: text });
    return;
  }
  complaints.add(full, issue.message);
}

const WORDS: Readonly<Record<string, string>> = {
  object: "a mapping",
  record: "a mapping",
  array: "a list",
  string: "text (put it in quotes)",
  boolean: "true or false",
  int: "a whole number",
};
const expected = (issue: Issue): string =>
  issue.code === "invalid_type" ? (WORDS[issue.expected] ?? `a ${issue.expected}`) : "another value";

function prune(value: unknown, path: Path, keys: readonly string[]): void {
  let at: unknown = value;
  for (const step of path) at = (at as Readonly<Record<string | number, unknown>> | undefined)?.[step];
  if (typeof at === "object" && at !== null) for (const key of keys) Reflect.deleteProperty(at, key);
}

/** Names that the schema knows at a path: a union knows those of all its branches. */
export function knownMembers(schema: z.ZodType, path: Path): readonly string[] {
  const found = new Set<string>();
  const walk = (type: unknown, rest: Path): void => {
    if (type instanceof z.ZodOptional || type instanceof z.ZodDefault || type instanceof z.ZodNullable) return walk(type.unwrap(), rest);
    if (type instanceof z.ZodUnion) return void type.options.forEach((option) => walk(option, rest));
    const [step, ...deeper] = rest;
    if (type instanceof z.ZodArray && step !== undefined) return walk(type.element, deeper);
    if (type instanceof z.ZodRecord && step !== undefined) return walk(type.valueType, deeper);
    if (!(type instanceof z.ZodObject)) return undefined;
    if (step === undefined) return void Object.keys(type.shape).forEach((name) => found.add(name));
    return walk((type.shape as Readonly<Record<string | number, unknown>>)[step], deeper);
  };
  walk(schema, path);
  return [...found];
}
