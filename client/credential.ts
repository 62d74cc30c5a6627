import type { CredentialView, TokenView } from "../domain/wire.ts";

/** The answer of an exchange in the shape of every other credential, with the task token beside it. */
export function credentialOf(grant: string, answer: TokenView): CredentialView & { readonly task_token: string } {
  const {
    access_token: token,
    issuer = "jwt",
    credential,
    lease_id,
    task_id,
    task_token,
    expires_at,
    limited_by,
    revocation,
    dead_by,
  } = answer;
  return {
    lease_id,
    task_id,
    grant,
    issuer,
    credential: { ...credential, type: credential?.type ?? "jwt", token },
    expires_at,
    limited_by,
    revocation,
    dead_by,
    task_token,
  };
}
