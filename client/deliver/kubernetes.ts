import { named, tokenOf, type Answer } from "./material.ts";
import { x509Files } from "./keys.ts";
import { UnsuitableError } from "./unsuitable.ts";

export const EXEC_CREDENTIAL_VERSIONS = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"] as const;
export type ExecCredentialVersion = (typeof EXEC_CREDENTIAL_VERSIONS)[number];

/** What a client-go credential plugin prints: a bearer token or a client certificate, and when to ask again. */
export function execCredential(answer: Answer, apiVersion: ExecCredentialVersion = EXEC_CREDENTIAL_VERSIONS[0]): string {
  const status = { expirationTimestamp: `${answer.expires_at.replace(/\.\d+Z$/, "Z")}`, ...proofOf(answer) };
  return `${JSON.stringify({ apiVersion, kind: "ExecCredential", status })}\n`;
}

function proofOf(answer: Answer): Readonly<Record<string, string>> {
  if (answer.credential.type === "x509_certificate") {
    const { certificate, key } = x509Files(answer);
    return { clientCertificateData: certificate, clientKeyData: key };
  }
  const token = tokenOf(answer.credential);
  if (token !== undefined) return { token };
  throw new UnsuitableError(
    `a credential of kind ${named(answer.credential)} is neither a token nor a client certificate, which kubectl takes`,
  );
}
