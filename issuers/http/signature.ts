import { createHash, createHmac, randomUUID } from "node:crypto";
import type { Secret } from "../../domain/secret.ts";
import { toSeconds } from "../../domain/time.ts";

/** A request may be this old when it arrives. */
const VALID_SECONDS = 60;

export interface Unsigned {
  readonly method: string;
  readonly url: string;
  readonly body: string | undefined;
  /** Headers that are signed, too: what they say must not be changed or left out. Names in small letters. */
  readonly covered?: Readonly<Record<string, string>>;
}

/**
 * Headers that sign a request with the key it shares with its maker: HTTP Message Signatures (RFC 9421) with hmac-sha256 over method,
 * target URI and content digest (RFC 9530), good for a minute and for one use. `now` in milliseconds.
 */
export function signRequest(
  request: Unsigned,
  key: Secret,
  keyId: string,
  now: number,
  nonce = randomUUID(),
): Readonly<Record<string, string>> {
  const digest = `sha-256=:${createHash("sha256")
    .update(request.body ?? "")
    .digest("base64")}:`;
  const headers = { ...request.covered, "content-digest": digest };
  const parts: readonly (readonly [string, string])[] = [
    ["@method", request.method],
    ["@target-uri", request.url],
    ...Object.entries(headers),
  ];
  const created = toSeconds(now);
  const params =
    `(${parts.map(([name]) => `"${name}"`).join(" ")});created=${created};expires=${created + VALID_SECONDS};nonce="${nonce}"` +
    `;keyid="${keyId}";alg="hmac-sha256";tag="stint-maker"`;
  const signature = signatureOf(parts, params, key.reveal());
  return { ...headers, "signature-input": `stint=${params}`, signature: `stint=:${signature}:` };
}

/** The HMAC over the signature base of these components. RFC 9421 sections 2.5 and 3.3.3. */
export function signatureOf(parts: readonly (readonly [string, string])[], params: string, key: string | Buffer): string {
  const base = [...parts.map(([name, value]) => `"${name}": ${value}`), `"@signature-params": ${params}`].join("\n");
  return createHmac("sha256", key).update(base).digest("base64");
}
