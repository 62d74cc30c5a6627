import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

/** A JSON schema as GitHub's description writes it (OpenAPI 3.0), references resolved. */
export interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly nullable?: boolean;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly format?: string;
}
interface Operation {
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>>;
}
interface Description {
  readonly origin: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const JSON_TYPE = "application/json";
/** Every operation answers these, though few say so. */
const BASIC_ERROR = z.looseObject({ message: z.string(), documentation_url: z.string() });

const file = join(import.meta.dirname, "../../../test/fixtures/github-openapi.json");
export const description = JSON.parse(readFileSync(file, "utf8")) as Description;

const zods = new WeakMap<Schema, z.ZodType>();
/** Zod's reading of a schema of the description. */
function zodOf(schema: Schema): z.ZodType {
  const known = zods.get(schema) ?? z.fromJSONSchema(schema as z.core.JSONSchema.JSONSchema, { defaultTarget: "openapi-3.0" });
  zods.set(schema, known);
  return known;
}

/** The operation that a request means, by GitHub's description; undefined: there is none. */
export function operationOf(method: string, path: string): { readonly template: string; readonly operation: Operation } | undefined {
  for (const [template, operations] of Object.entries(description.paths)) {
    const pattern = new RegExp(`^${template.replaceAll(/\{[^}]+\}/g, "[^/]+")}$`);
    const operation = operations[method.toLowerCase()];
    if (operation !== undefined && pattern.test(path)) return { template, operation };
  }
  return undefined;
}

/** What is wrong with a request by the description; `undefined` as body: it has none. Members that it does not name are wrong. */
export function wrongRequest(method: string, path: string, body: unknown): string | undefined {
  const found = operationOf(method, path);
  if (found === undefined) return `${method} ${path} is no operation of GitHub's API`;
  const schema = found.operation.requestBody?.content[JSON_TYPE]?.schema;
  if (schema === undefined) return body === undefined ? undefined : `${method} ${path} takes no body`;
  if (body === undefined) return undefined;
  const read = zodOf(schema).safeParse(body);
  if (!read.success) return `${method} ${path}: ${z.prettifyError(read.error)}`;
  return unnamed(schema, body, "");
}

/** What is wrong with an answer. Statuses that the description does not name must be errors in the usual form. */
export function wrongAnswer(method: string, path: string, status: number, body: unknown): string | undefined {
  const found = operationOf(method, path);
  if (found === undefined) return undefined;
  const response = found.operation.responses[String(status)];
  if (response === undefined && status < 400) return `${method} ${path} never answers ${status}`;
  const schema = response?.content?.[JSON_TYPE]?.schema;
  if (response !== undefined && schema === undefined) return body === undefined ? undefined : `${method} ${path} ${status} has no body`;
  const read = (schema === undefined ? BASIC_ERROR : zodOf(schema)).safeParse(body);
  return read.success ? undefined : `${method} ${path} ${status}: ${z.prettifyError(read.error)}`;
}

function unnamed(schema: Schema, value: unknown, at: string): string | undefined {
  if (schema.properties === undefined || typeof value !== "object" || value === null) return undefined;
  for (const [name, member] of Object.entries(value)) {
    const known = schema.properties[name];
    if (known === undefined) return `the description names no ${at}${name}`;
    const deeper = unnamed(known, member, `${at}${name}.`);
    if (deeper !== undefined) return deeper;
  }
  return undefined;
}

/** The least value that fits a schema, with `known` laid over it: what a fake says where nobody looks. */
export function sample(schema: Schema, known: Readonly<Record<string, unknown>> = {}): unknown {
  if (schema.nullable === true && Object.keys(known).length === 0) return null;
  if (schema.enum !== undefined) return schema.enum[0];
  const inner = schema.allOf?.[0] ?? schema.anyOf?.[0] ?? schema.oneOf?.[0];
  if (inner !== undefined && schema.properties === undefined) return sample(inner, known);
  if (schema.type === "array") return [];
  if (schema.type === "boolean") return false;
  if (schema.type === "integer" || schema.type === "number") return 1;
  if (schema.type === "string")
    return schema.format === "date-time" ? "2026-01-01T00:00:00Z" : schema.format === "uri" ? "https://github.test/x" : "x";
  const members = (schema.required ?? []).map((name) => [name, sample(schema.properties?.[name] ?? {})] as const);
  return { ...Object.fromEntries(members), ...known };
}

/** The schema of an operation's answer. */
export function answerSchema(path: string, method: string, status: string): Schema {
  const schema = description.paths[path]?.[method]?.responses[status]?.content?.[JSON_TYPE]?.schema;
  if (schema === undefined) throw new Error(`the description has no ${method} ${path} ${status}`);
  return schema;
}
