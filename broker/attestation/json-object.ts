import { RefusedJson, parseJson } from "../../domain/json.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether the value is a JSON object (neither null nor a list). */
export const isJsonObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** One JSON object from outside, read strictly, every number within a double. Throws `RefusedJson`, whose message quotes nothing. */
export function parseJsonObject(text: string): JsonObject {
  const value = parseJson(text);
  if (!isJsonObject(value)) throw new RefusedJson("not a JSON object");
  if (hasInfinity(value)) throw new RefusedJson("a number is out of range");
  return value;
}

function hasInfinity(value: unknown): boolean {
  if (typeof value === "number") return !Number.isFinite(value);
  if (typeof value !== "object" || value === null) return false;
  const members = value as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(members)) if (hasInfinity(members[name])) return true;
  return false;
}
