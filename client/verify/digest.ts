import { base64url } from "jose";

const UTF8 = new TextEncoder();

/** SHA-256 in base64url, as `ath`, `jkt` and `x5t#S256` are written. */
export async function sha256(input: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = typeof input === "string" ? UTF8.encode(input) : input;
  return base64url.encode(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}
