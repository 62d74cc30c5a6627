import { isJsonObject, type JsonObject } from "../attestation/json-object.ts";

/** The JSON object in one part of a compact token; undefined for anything else. What others signed is read more strictly: `parseJsonObject`. */
export function objectIn(segment: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(segment, "base64url").toString("utf8"));
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
