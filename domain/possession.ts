/**
 * A key that a caller proves to hold, by the confirmation method that names it in a token's `cnf` (RFC 7800): the thumbprint of a
 * DPoP key (RFC 9449 section 6.1) or of a client certificate (RFC 8705 section 3.1). Both are a SHA-256 in base64url.
 */
export interface HolderKey {
  readonly method: "jkt" | "x5t#S256";
  readonly thumbprint: string;
}

/** One use of a proof of possession: whoever acts on it spends it first. */
export interface ProofUse {
  /** SHA-256, base64url, over key, target and `jti`. */
  readonly id: string;
  /** How long it must be remembered, in milliseconds: until the proof is too old to be accepted. */
  readonly keepMs: number;
}

const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;
/** Whether the text can be a SHA-256 in base64url. */
export const isThumbprint = (text: unknown): text is string => typeof text === "string" && THUMBPRINT.test(text);

/** A key as one word, for records that compare it. */
export const keyName = ({ method, thumbprint }: HolderKey): string => `${method}:${thumbprint}`;

export const sameKey = (a: HolderKey | undefined, b: HolderKey | undefined): boolean =>
  a?.method === b?.method && a?.thumbprint === b?.thumbprint;

/** The `cnf` member of a token bound to this key; exactly one method, or nothing for a token that is not bound. */
export const confirmationOf = (key: HolderKey | undefined): { readonly cnf?: Readonly<Record<string, string>> } =>
  key === undefined ? {} : { cnf: { [key.method]: key.thumbprint } };

/** The key that a `cnf` of ours names; undefined when there is none, `unreadable` for anything that we do not write. */
export function keyOfConfirmation(cnf: unknown): HolderKey | undefined | "unreadable" {
  if (cnf === undefined) return undefined;
  if (typeof cnf !== "object" || cnf === null) return "unreadable";
  const [entry, ...others] = Object.entries(cnf);
  if (entry === undefined || others.length > 0) return "unreadable";
  const [method, thumbprint] = entry as [string, unknown];
  return (method === "jkt" || method === "x5t#S256") && isThumbprint(thumbprint) ? { method, thumbprint } : "unreadable";
}
