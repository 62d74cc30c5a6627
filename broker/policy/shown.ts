/** A value as it may be shown or kept: itself, or the beginning of its JSON where that is longer than `max` characters. */
export function shortened(value: unknown, max: number): unknown {
  if (typeof value === "string" && value.length <= max) return value;
  try {
    const json = JSON.stringify(value) ?? "null";
    return json.length <= max ? value : `${json.slice(0, max)}...`;
  } catch {
    return "(cannot be shown)"; // nested too deeply
  }
}
