import { z } from "zod";

/** What clouds and clusters read of a token of theirs, as an OpenID provider would make it. OpenID Connect Core section 2. */
export const FEDERATION_TOKEN_TYPE = "JWT";

/** Claims by which AWS IAM takes session tags and a source identity from an OIDC token ("Passing session tags using AssumeRoleWithWebIdentity"). */
const AWS_TAGS = "https://aws.amazon.com/tags";
const AWS_SOURCE_IDENTITY = "https://aws.amazon.com/source_identity";

const TagKey = z.string().regex(/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u, "must be a tag's name as AWS takes it, 128 characters at most");
const TagValue = z.string().regex(/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u, "must be a tag's value as AWS takes it, 256 characters at most");
const Tags = z.strictObject({
  principal_tags: z
    .record(TagKey, z.tuple([TagValue], "must be a list of one text"))
    .refine((tags) => Object.keys(tags).length <= 50, { error: "AWS takes 50 tags" }),
  transitive_tag_keys: z.array(TagKey).max(50).optional(),
});
const SourceIdentity = z.string().regex(/^[\w+=,.@-]{2,64}$/, "must be 2 to 64 characters of letters, digits and +=,.@-_");

/** Claims that a relying party reads in a form of its own: a wrong form would refuse every token, and say little of why. */
const FORMS: Readonly<Record<string, z.ZodType>> = { [AWS_TAGS]: Tags, [AWS_SOURCE_IDENTITY]: SourceIdentity };

interface Federated {
  readonly audience: string;
  readonly scope: readonly string[];
  readonly claims: Readonly<Record<string, unknown>>;
  readonly alg: "ES256" | "RS256";
}

/** What a grant of this profile may not say, each with its place. */
export function federationFaults(params: Federated): readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] {
  const faults: { path: readonly PropertyKey[]; message: string }[] = [];
  if (params.scope.length > 0)
    faults.push({ path: ["scope"], message: "a federation token carries no scope: the relying party's own policy says what it allows" });
  if (params.alg !== "RS256" && isEntra(params.audience)) faults.push({ path: ["alg"], message: "Microsoft Entra takes RS256 only" });
  for (const [name, form] of Object.entries(FORMS)) {
    if (!Object.hasOwn(params.claims, name)) continue;
    for (const { path, message } of form.safeParse(params.claims[name]).error?.issues ?? [])
      faults.push({ path: ["claims", name, ...path], message });
  }
  return faults;
}

/** `api://AzureADTokenExchange`, and its spellings in national clouds. */
const isEntra = (audience: string): boolean => /^api:\/\/AzureADTokenExchange/i.test(audience);
