/** Longer than any URL of ours. */
const MAX_URI = 2048;
const UNRESERVED = /[A-Za-z0-9._~-]/;

/**
 * The URI without query and fragment, in the one spelling that RFC 3986 section 6.2.2 and 6.2.3 leave it (RFC 9449 section 4.3):
 * what `htu` is compared by. Undefined for what is no plain http(s) URL.
 */
export function comparableUri(text: string): string | undefined {
  if (text.length > MAX_URI || !URL.canParse(text)) return undefined;
  const { protocol, username, password, origin, pathname } = new URL(text);
  if ((protocol !== "https:" && protocol !== "http:") || username !== "" || password !== "") return undefined;
  return origin + pathname.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => oneSpelling(hex));
}

function oneSpelling(hex: string): string {
  const letter = String.fromCharCode(Number.parseInt(hex, 16));
  return UNRESERVED.test(letter) ? letter : `%${hex.toUpperCase()}`;
}
