import type { Environment } from "../../identity/source.ts";

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
  credentials: Readonly<Record<string, string>>,
  strip: (name: string) => boolean = isStripped,
): Record<string, string | undefined> {
  const kept = Object.entries(env).filter(([name]) => !strip(name));
  return { ...Object.fromEntries(kept), ...credentials };
}

export const isStripped = (name: string): boolean => STRIPPED.test(name.toUpperCase());
