import { X509Certificate } from "node:crypto";
import type { PublishedDocument } from "../../domain/credential.ts";
import type { Authorities } from "./authorities.ts";
import type { Lists } from "./lists.ts";
import { toPem } from "./pem.ts";
import { SLOTS } from "./stored.ts";

/** A copy of what is trusted may be this old: a CA is announced long before it signs. Seconds. */
const TRUST_MAX_AGE = 60;

/**
 * What those who check certificates read. `crl` is the list of the CA that signs now, `crl-1` to `crl-4` those of the CAs in use:
 * a certificate names its CA's own, which keeps its name through a rotation. `crl.pem` holds them all, for servers that read files.
 */
export function publishedDocuments(
  authorities: Authorities,
  lists: Lists,
  trustDomain: string | undefined,
): Readonly<Record<string, PublishedDocument>> {
  const list = (read: () => Promise<Uint8Array>): PublishedDocument => ({ contentType: "application/pkix-crl", maxAge: 0, read });
  const slots = Array.from({ length: SLOTS }, (_, index) => index + 1);
  return {
    "ca.pem": {
      contentType: "application/x-pem-file",
      maxAge: TRUST_MAX_AGE,
      read: async () => Buffer.from([...new Set((await authorities.alive()).flatMap(({ certificates }) => certificates))].join("")),
    },
    crl: list(() => lists.current()),
    "crl.pem": {
      contentType: "application/x-pem-file",
      maxAge: 0,
      read: async () => Buffer.from((await lists.all()).map((each) => toPem("X509 CRL", each)).join("")),
    },
    ...Object.fromEntries(slots.map((slot) => [`crl-${slot}`, list(() => lists.inSlot(slot))])),
    ...(trustDomain !== undefined && {
      bundle: { contentType: "application/json", maxAge: TRUST_MAX_AGE, read: () => spiffeBundle(authorities) },
    }),
  };
}

/** The trust domain's bundle (SPIFFE Trust Domain and Bundle section 4): X.509 authorities only. */
async function spiffeBundle(authorities: Authorities): Promise<Uint8Array> {
  const alive = await authorities.alive();
  const roots = new Map(alive.flatMap((each) => each.roots).map((der) => [der.toString("base64"), der]));
  const keys = [...roots].map(([x5c, der]) => ({
    use: "x509-svid",
    ...new X509Certificate(der).publicKey.export({ format: "jwk" }),
    x5c: [x5c],
  }));
  // one more whenever a CA is announced, and whenever one leaves
  const sequence = (alive.at(-1)?.generation ?? 0) + (alive[0]?.generation ?? 0);
  return Buffer.from(JSON.stringify({ keys, spiffe_sequence: sequence, spiffe_refresh_hint: TRUST_MAX_AGE }));
}
