import { z } from "zod";
import { reachSettings, wrongAddress } from "../reach.ts";
import { referenceTo, span } from "../written.ts";

const DAY_MS = 86_400_000;
/** JSON of a grant's words to its maker, and of a workload's. */
const MAX_WORDS = 4096;

const OptionName = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, "must be a name of small letters, digits and _");

/** Members of a Target with `issuer: http`. */
export const HttpSettings = z
  .strictObject({
    /** Where the maker is: `POST {url}/credentials`. */
    url: z.string().max(1024),
    /** Shared with the maker and with nobody else: at least 32 characters, requests are signed with it. */
    key: referenceTo("secret"),
    /** Its name, so that a maker that knows two can tell which one was used. */
    key_id: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,64}$/, "must be a name of letters, digits, dots, dashes and _")
      .default("stint"),
    /** `immediate`: when the maker says ended, it opens nothing any more. */
    revocation: z.enum(["immediate", "expiry_only"]).default("immediate"),
    max_ttl: span(5_000, DAY_MS).default(DAY_MS),
    /** The maker lengthens what it made. */
    renew: z.boolean().default(false),
    /** The maker lists what it made. */
    list: z.boolean().default(true),
    /** What workloads may ask for beside the grant. */
    options: z.array(OptionName).max(16).default([]),
    ...reachSettings,
  })
  .superRefine((settings, context) => {
    const message = wrongAddress(settings.url, settings);
    if (message !== undefined) context.addIssue({ code: "custom", path: ["url"], message });
  })
  .transform((settings) => ({ ...settings, url: settings.url.replace(/\/+$/, "") }));
export type HttpSettings = z.output<typeof HttpSettings>;

const within = (value: unknown): boolean => Buffer.byteLength(JSON.stringify(value)) <= MAX_WORDS;

/** Under a grant's `issue`: words for the maker, and scope. */
export const HttpParams = z
  .strictObject({
    params: z.record(z.string().min(1).max(128), z.json()).default({}),
    scope: z.array(z.string()).max(64).default([]),
  })
  .refine(({ params }) => within(params), { error: `params may take ${MAX_WORDS} bytes of JSON together` });
export type HttpParams = z.output<typeof HttpParams>;

/** What a workload may say: the names that the Target allows, text or JSON. */
export function httpOptions(names: readonly string[]): z.ZodType<Readonly<Record<string, z.core.util.JSONType>>> {
  return z
    .strictObject(Object.fromEntries(names.map((name) => [name, z.json().optional()])))
    .refine(within, { error: `options may take ${MAX_WORDS} bytes of JSON together` }) as z.ZodType<
    Readonly<Record<string, z.core.util.JSONType>>
  >;
}
