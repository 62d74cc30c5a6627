import { awsProcess } from "./aws.ts";
import { dockerAnswer, gitAnswer, netrcLine, type Place } from "./login.ts";
import { execCredential } from "./kubernetes.ts";
import { pemBundle, sshFiles } from "./keys.ts";
import { named, tokenOf, type Answer } from "./material.ts";
import { pgpassLine, pgServiceSection } from "./postgres.ts";
import { UnsuitableError } from "./unsuitable.ts";
import { dotenvLines, exportLines, variablesOf } from "./variables.ts";

/** How a credential can be written as one text. */
const TEXTS = {
  token: (answer) => token(answer),
  json: (answer) => `${JSON.stringify({ schema: "credential/v1", ...answer })}\n`,
  env: (answer) => exportLines(variablesOf(answer)),
  dotenv: (answer) => dotenvLines(variablesOf(answer)),
  header: (answer) => header(answer),
  pgpass: pgpassLine,
  pgservice: pgServiceSection,
  netrc: netrcLine,
  ssh: (answer) => sshFiles(answer).key,
  x509: pemBundle,
  "exec-credential": (answer) => execCredential(answer),
  aws: awsProcess,
  git: gitAnswer,
  docker: (answer, place) => dockerAnswer(answer, place),
} as const satisfies Readonly<Record<string, (answer: Answer, place: Place) => string>>;

export type CredentialFormat = keyof typeof TEXTS;
export const CREDENTIAL_FORMATS = Object.keys(TEXTS) as readonly CredentialFormat[];

/**
 * The text for a pipe or a file: `token` is bare, everything else ends with a newline. Throws `UnsuitableError` where this kind of
 * credential cannot take the shape.
 */
export const renderCredential = (format: CredentialFormat, answer: Answer, place: Place = {}): string => TEXTS[format](answer, place);

/** `token` where there is one, all of it as JSON otherwise. */
export const usualFormat = ({ credential }: Answer): CredentialFormat => (tokenOf(credential) === undefined ? "json" : "token");

function token({ credential }: Answer): string {
  const text = tokenOf(credential);
  if (text === undefined)
    throw new UnsuitableError(
      `a credential of kind ${named(credential)} is no single token`,
      "Use --format json, or one that fits its kind.",
    );
  return text;
}

function header(answer: Answer): string {
  // a bound token is of no use in a header of its own: each request needs a proof
  if ((answer.credential as { readonly token_type?: unknown }).token_type === "DPoP")
    throw new UnsuitableError("the credential is bound to a key: every request needs a proof of its own");
  return `Authorization: Bearer ${token(answer)}\n`;
}
