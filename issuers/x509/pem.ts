import { library } from "./library.ts";

const LABEL = /^-----BEGIN ([A-Z0-9 ]{1,40})-----$/;

/** RFC 7468: lines of 64, the label as given. A revocation list's is `X509 CRL`, whatever the library calls it. */
export const toPem = (label: string, der: Uint8Array): string =>
  `${library().x509.PemConverter.encode(der.buffer.slice(der.byteOffset, der.byteOffset + der.length), label)}\n`;

/**
 * The DER of every block of this label, in order; undefined when there is anything else (another label, text between blocks,
 * characters that are no base64). Blank lines are let through. The library's own reader skips what it does not know.
 */
export function fromPem(text: string, ...labels: readonly string[]): readonly Buffer[] | undefined {
  const found: Buffer[] = [];
  let open: { readonly label: string; readonly lines: string[] } | undefined;
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    const begins = LABEL.exec(line)?.[1];
    if (open === undefined) {
      if (line === "") continue;
      if (begins === undefined || !labels.includes(begins)) return undefined;
      open = { label: begins, lines: [] };
    } else if (line === `-----END ${open.label}-----`) {
      const body = open.lines.join("");
      const der = Buffer.from(body, "base64");
      if (der.length === 0 || der.toString("base64") !== body) return undefined;
      found.push(der);
      open = undefined;
    } else open.lines.push(line);
  }
  return open === undefined && found.length > 0 ? found : undefined;
}
