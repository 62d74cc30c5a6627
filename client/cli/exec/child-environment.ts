import { UsageError } from "../exit-codes.ts";
import { clean } from "../screen.ts";
import { defaultVariable } from "../../deliver/variables.ts";
import type { Environment } from "../../identity/source.ts";

export interface Wish {
  readonly grant: string;
  readonly variable: string;
}

/** `GRANT` or `GRANT=VARIABLE`, each variable once. */
export function parseWishes(texts: readonly string[]): readonly Wish[] {
  const wishes = texts.map((text) => {
    const cut = text.indexOf("=");
    const grant = cut === -1 ? text : text.slice(0, cut);
    const variable = cut === -1 ? defaultVariable(grant) : text.slice(cut + 1);
    if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(grant))
      throw new UsageError(`--for: "${clean(grant)}" is not the name of a grant`, "Names have lower-case letters, digits and dashes.");
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) throw new UsageError(`--for: "${clean(variable)}" is not the name of a variable`);
    return { grant, variable };
  });
  const twice = wishes.find((wish, index) => wishes.findIndex((other) => other.variable === wish.variable) !== index);
  if (twice !== undefined) throw new UsageError(`--for: two credentials for one variable, ${twice.variable}`);
  return wishes;
}

/** What could get other credentials, or be one: the command got its own, and needs nobody else's. */
const STRIPPED = new RegExp(
  `^(?:${[
    "STINT_.*",
    "ACTIONS_ID_TOKEN_REQUEST_(?:URL|TOKEN)",
    "CI_JOB_JWT(?:_V[12])?",
    "CIRCLE_OIDC_TOKEN(?:_V2)?",
    "BUILDKITE_AGENT_ACCESS_TOKEN",
    "SYSTEM_ACCESSTOKEN",
    "SYSTEM_OIDCREQUESTURI",
    "AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|WEB_IDENTITY_TOKEN_FILE|CONTAINER_.*)",
    "GOOGLE_(?:APPLICATION_CREDENTIALS|CREDENTIALS|OAUTH_ACCESS_TOKEN|GHA_CREDS_PATH)",
    "CLOUDSDK_AUTH_.*",
    "AZURE_(?:CLIENT_SECRET|CLIENT_CERTIFICATE_.*|PASSWORD|FEDERATED_TOKEN_FILE)",
    "ARM_(?:CLIENT_SECRET|CLIENT_CERTIFICATE.*|OIDC_.*)",
    "(?:IDENTITY|MSI)_(?:ENDPOINT|HEADER|SECRET)",
    "VAULT_TOKEN",
    "BAO_TOKEN",
  ].join("|")})$`,
);

/** The command's environment: ours without what it must not have, and with its credentials. */
export function childEnvironment(
  env: Environment,
  credentials: ReadonlyMap<string, string>,
  strip: (name: string) => boolean = isStripped,
): Record<string, string | undefined> {
  const kept = Object.entries(env).filter(([name]) => !strip(name));
  return { ...Object.fromEntries(kept), ...Object.fromEntries(credentials) };
}

export const isStripped = (name: string): boolean => STRIPPED.test(name.toUpperCase());
