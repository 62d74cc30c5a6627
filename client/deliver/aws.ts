import type { CredentialMaterial } from "../../domain/wire.ts";
import { named, optionalText, textOf, tokenOf, type Answer } from "./material.ts";
import { UnsuitableError } from "./unsuitable.ts";

/** What a `credential_process` prints (AWS SDKs and Tools Reference, "Process credential provider"). */
export function awsProcess(answer: Answer): string {
  const { id, secret, session } = awsKeys(answer.credential);
  return `${JSON.stringify({ Version: 1, AccessKeyId: id, SecretAccessKey: secret, SessionToken: session, Expiration: answer.expires_at })}\n`;
}

/** The variables of the AWS SDKs. */
export function awsVariables(material: CredentialMaterial): Readonly<Record<string, string>> {
  const { id, secret, session } = awsKeys(material);
  return { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, ...(session === undefined ? {} : { AWS_SESSION_TOKEN: session }) };
}

function awsKeys(material: CredentialMaterial): { readonly id: string; readonly secret: string; readonly session: string | undefined } {
  if (optionalText(material, "access_key_id") === undefined) {
    throw new UnsuitableError(
      `a credential of kind ${named(material)} is no AWS access key`,
      tokenOf(material) === undefined
        ? "--format json shows what it has."
        : "AWS exchanges a JWT itself: write it to a file that AWS_WEB_IDENTITY_TOKEN_FILE names, beside AWS_ROLE_ARN.",
    );
  }
  return {
    id: textOf(material, "access_key_id"),
    secret: textOf(material, "secret_access_key"),
    session: optionalText(material, "session_token"),
  };
}
