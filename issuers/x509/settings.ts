import { z } from "zod";
import { span } from "../written.ts";
import { isBeneath, wrongCommonName, wrongDnsName, wrongSpiffeId } from "./names.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const Reference = z.templateLiteral([z.enum(["env:", "file:"]), z.string().min(1)], "must be env:NAME or file:PATH");

/** A text with a reason against it, as a problem at its place. */
const checked = (wrong: (text: string) => string | undefined) =>
  z
    .string("must be text")
    .max(2048, "is longer than 2048 characters")
    .superRefine((text, context) => {
      const reason = wrong(text);
      if (reason !== undefined) context.addIssue({ code: "custom", message: reason });
    });

const Authority = z
  .strictObject({
    certificate: Reference.optional(),
    key: Reference.optional(),
    name: checked(wrongCommonName).optional(),
    validity: span(30 * DAY, 7300 * DAY).optional(),
    announce: span(10 * MINUTE, 30 * DAY).optional(),
  })
  .superRefine((ca, context) => {
    const given = ca.certificate !== undefined || ca.key !== undefined;
    if (given && (ca.certificate === undefined || ca.key === undefined))
      context.addIssue({ code: "custom", message: "needs both `certificate` and `key`, or neither" });
    for (const name of ["name", "validity", "announce"] as const) {
      if (given && ca[name] !== undefined)
        context.addIssue({ code: "custom", path: [name], message: "belongs to a CA that Stint makes; this one is supplied" });
    }
  });

/** A Target's settings for `issuer: x509`. */
export const X509Settings = z
  .strictObject({
    /** The CA: made by us and kept sealed in the store (the default), or an intermediate that somebody supplies. */
    ca: Authority.default({}),
    /** The trust domain whose SPIFFE IDs grants may name. */
    trust_domain: checked((text) => wrongSpiffeId(`spiffe://${text}/x`, text)).optional(),
    /** Domains in and beneath which grants may name hosts. */
    domains: z
      .array(checked((text) => wrongDnsName(text, false)))
      .max(64, "holds more than 64 domains")
      .default([]),
    wildcards: z.boolean().default(false),
    /** Certificates may be shown by servers, too. */
    server_auth: z.boolean().default(false),
    /** `nextUpdate` of the list of revoked certificates, from when it is signed. */
    list_valid: span(5 * MINUTE, 7 * DAY).default(HOUR),
    /** Those who check the list read it at least this often; absent: nobody says so, and certificates die by their own end. */
    list_read_every: span(1000, DAY).optional(),
  })
  .superRefine((settings, context) => {
    // a list is signed again when half its life is over, so a copy may be that old already
    if (settings.list_read_every !== undefined && settings.list_read_every > settings.list_valid / 2)
      context.addIssue({
        code: "custom",
        path: ["list_read_every"],
        message: "must be at most half of list_valid, or readers hold a list that is over",
      });
  });
export type X509Settings = z.output<typeof X509Settings>;

/** Who makes the key of a certificate: the asker (with a request), we, or whoever likes. */
const KEY_MAKERS = ["ask", "make", "either"] as const;

/** A grant's `issue` settings: whom its certificates name. */
export function x509Params(settings: Pick<X509Settings, "trust_domain" | "domains" | "wildcards">) {
  const dnsName = (text: string): string | undefined => {
    const wrong = wrongDnsName(text, settings.wildcards);
    if (wrong !== undefined) return wrong;
    if (settings.domains.length === 0) return "needs the Target to name its domains (`domains`)";
    return isBeneath(text.replace(/^\*\./, ""), settings.domains) ? undefined : "is in none of the Target's domains";
  };
  return z
    .strictObject({
      spiffe_id: checked((text) => wrongSpiffeId(text, settings.trust_domain)).optional(),
      dns_names: z
        .array(checked(dnsName))
        .max(32, "holds more than 32 names")
        .refine((names) => new Set(names).size === names.length, "names a host twice")
        .default([]),
      common_name: checked(wrongCommonName).optional(),
      key: z.enum(KEY_MAKERS).default("either"),
    })
    .refine(
      ({ spiffe_id, dns_names, common_name }) => spiffe_id !== undefined || dns_names.length > 0 || common_name !== undefined,
      "must name somebody: spiffe_id, dns_names or common_name",
    );
}
export type X509Params = z.output<ReturnType<typeof x509Params>>;
