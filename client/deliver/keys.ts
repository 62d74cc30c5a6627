import { named, optionalText, textOf, type Answer } from "./material.ts";
import { UnsuitableError } from "./unsuitable.ts";

/** The two files that ssh reads together: `NAME` and `NAME-cert.pub`. */
export interface SshFiles {
  readonly key: string;
  readonly certificate: string;
}

/** A private key with its certificate, for ssh. */
export function sshFiles({ credential }: Answer): SshFiles {
  if (credential.type !== "ssh_certificate")
    throw new UnsuitableError(`a credential of kind ${named(credential)} is no SSH certificate`, "--format json shows what it has.");
  return { key: ended(privateKey({ credential })), certificate: ended(textOf(credential, "certificate")) };
}

/** A client certificate with its key and its authority, in PEM. */
export interface X509Files {
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
}

export function x509Files({ credential }: Answer): X509Files {
  if (credential.type !== "x509_certificate")
    throw new UnsuitableError(`a credential of kind ${named(credential)} is no X.509 certificate`, "--format json shows what it has.");
  return {
    certificate: ended(textOf(credential, "certificate")),
    key: ended(privateKey({ credential })),
    ca: ended(textOf(credential, "ca")),
  };
}

/** Key and certificate chain in one file, as curl's `--cert` and many others take it. */
export function pemBundle(answer: Answer): string {
  const { key, certificate } = x509Files(answer);
  return key + certificate;
}

function privateKey({ credential }: Pick<Answer, "credential">): string {
  const key = optionalText(credential, "private_key");
  if (key !== undefined) return key;
  throw new UnsuitableError(
    "the private key is not in the answer: it was made elsewhere",
    "--field certificate --out FILE writes the certificate beside it.",
  );
}

const ended = (text: string): string => (text.endsWith("\n") ? text : `${text}\n`);
