import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, type JSONWebKeySet, type JWTPayload } from "jose";

/** What one relying party asks of a token that it is to federate with, from its own documentation. */
export interface RelyingParty {
  readonly name: string;
  /** What it is usually told to expect as `aud`. */
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** Rules of its own, each with what it would say. */
  readonly rules: readonly (readonly [fault: string, holds: (claims: JWTPayload) => boolean])[];
}

const WHOLE: RelyingParty["rules"][number] = [
  "timestamps must be whole seconds",
  ({ iat, exp, nbf }) => [iat, exp, nbf ?? 0].every(Number.isInteger),
];
const ONE_AUDIENCE: RelyingParty["rules"][number] = ["one audience only", ({ aud }) => typeof aud === "string"];

export const RELYING_PARTIES: readonly RelyingParty[] = [
  {
    name: "AWS IAM",
    audience: "sts.amazonaws.com",
    algorithms: ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"],
    rules: [
      WHOLE,
      // with azp in the token AWS compares that with the registered audiences, and not aud
      ["azp stands in for aud", (claims) => !("azp" in claims)],
      ["iat is required", ({ iat }) => iat !== undefined],
    ],
  },
  {
    name: "Google Cloud",
    audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/stint/providers/stint",
    algorithms: ["RS256", "ES256"],
    rules: [
      WHOLE,
      ["lifetime of a day at most", ({ iat = 0, exp = 0 }) => exp - iat <= 86_400],
      ["google.subject of 127 bytes at most", ({ sub = "" }) => sub !== "" && Buffer.byteLength(sub) <= 127],
    ],
  },
  { name: "Microsoft Entra", audience: "api://AzureADTokenExchange", algorithms: ["RS256"], rules: [WHOLE, ONE_AUDIENCE] },
  {
    name: "Kubernetes",
    audience: "https://kubernetes.acme.dev",
    algorithms: ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"],
    rules: [WHOLE, ["a user name", ({ sub = "" }) => sub !== ""]],
  },
];

/** Reads a token as the party would; throws what it would say. */
export async function federate(
  party: RelyingParty,
  token: string,
  { issuer, keys, subject, now }: { readonly issuer: string; readonly keys: JSONWebKeySet; readonly subject: string; readonly now: number },
): Promise<JWTPayload> {
  const { typ } = decodeProtectedHeader(token);
  if (typ !== undefined && typ !== "JWT") throw new Error(`typ ${typ} is no identity token`);
  const { payload } = await jwtVerify(token, createLocalJWKSet(keys), {
    issuer,
    audience: party.audience,
    algorithms: [...party.algorithms],
    subject,
    requiredClaims: ["iss", "sub", "aud", "exp", "iat"],
    currentDate: new Date(now),
  });
  const fault = party.rules.find(([, holds]) => !holds(payload));
  if (fault !== undefined) throw new Error(fault[0]);
  return payload;
}
