import { RefusedJson, parseJson } from "../../domain/json.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether the value is a JSON object (neither null nor a list). */
export const isJsonObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** One JSON object from outside, read strictly, every number within a double. Throws `RefusedJson`, whose message quotes nothing. */
export function parseJsonObject(text: string): JsonObject {
  const value = parseJson(text);
  if (!isJsonObject(value)) throw new RefusedJson("not a JSON object");
  return value;
}
