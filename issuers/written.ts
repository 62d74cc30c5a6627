import { z } from "zod";
import type { SecretReference } from "../domain/target.ts";
import { formatDuration, parseDuration } from "../domain/time.ts";

/** `env:NAME` or `file:PATH`; what it refers to is refused itself, and never quoted. */
export const referenceTo = (what: "secret" | "key" | "password") =>
  z.custom<SecretReference>(
    (value) => typeof value === "string" && /^(?:env:[A-Za-z_][A-Za-z0-9_]{0,127}|file:[^\0\r\n]{1,1024})$/.test(value),
    { error: `must be env:NAME or file:PATH, never the ${what} itself` },
  );

/** A file that is no secret, relative to the configuration. */
export const filePath = z.string().regex(/^[^\0\n]{1,1024}$/, "must be a path");

/** A duration as people write it, between two bounds; milliseconds. */
export const span = (leastMs: number, mostMs: number) =>
  z
    .union([z.string(), z.number()], "must be a duration such as 90s, 10m or 1h30m")
    .transform((text) => parseDuration(text) ?? Number.NaN)
    .refine((ms) => ms >= leastMs && ms <= mostMs, `must be a duration from ${formatDuration(leastMs)} to ${formatDuration(mostMs)}`);
