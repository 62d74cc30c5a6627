import { RefusedJson, parseJson } from "../../domain/json.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether the value is a JSON object (neither null nor a list). */
export const isJsonObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** Digits that might overflow a double; the text is walked only then. */
const MAYBE_HUGE = /\d[eE]\+?\d{3}|\d{300}/;

/** One JSON object from outside, read strictly, every number within a double. Throws `RefusedJson`, whose message quotes nothing. */
export function parseJsonObject(text: string): JsonObject {
  const value = parseJson(text);
  if (!isJsonObject(value)) throw new RefusedJson("not a JSON object");
  if (MAYBE_HUGE.test(text) && hasInfinity(value)) throw new RefusedJson("a number is out of range");
  return value;
}

function hasInfinity(value: unknown): boolean {
  if (typeof value === "number") return !Number.isFinite(value);
  return typeof value === "object" && value !== null && Object.values(value).some(hasInfinity);
}
