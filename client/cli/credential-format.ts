/** How `request` can write a credential. */
export const CREDENTIAL_FORMATS = ["token", "json", "env", "dotenv", "header"] as const;
export type CredentialFormat = (typeof CREDENTIAL_FORMATS)[number];

/** The variable a grant's credential goes into unless another is named: `deploy-prod` is DEPLOY_PROD_TOKEN. */
export const defaultVariable = (grant: string): string =>
  `${/^\d/.test(grant) ? "_" : ""}${grant.replaceAll("-", "_").toUpperCase()}_TOKEN`;

/** The text for a pipe or a file: `token` is bare, everything else ends with a newline. `view` is the whole answer. */
export function formatCredential(format: CredentialFormat, token: string, grant: string, view: object): string {
  switch (format) {
    case "token":
      return token;
    case "json":
      return `${JSON.stringify({ schema: "credential/v1", ...view })}\n`;
    case "env":
      return `export ${defaultVariable(grant)}=${shellQuoted(token)}\n`;
    case "dotenv":
      return `${defaultVariable(grant)}="${token.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"\n`;
    case "header":
      return `Authorization: Bearer ${token}\n`;
  }
}

const shellQuoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
