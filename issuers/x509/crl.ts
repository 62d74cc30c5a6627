import { authorityKeyIdentifier, type Signer } from "./certificate.ts";
import { bits, der, extension, integer, sequence, time } from "./der.ts";
import { algorithmOf, signBytes } from "./keys.ts";
import { OID } from "./oids.ts";

/** What a list says. Times are milliseconds. */
export interface ListFacts {
  readonly number: bigint;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly entries: readonly { readonly serial: string; readonly revokedAt: number }[];
}

const VERSION_2 = integer(1n);
/** `privilegeWithdrawn`: the lease that the certificate stood for is over (RFC 5280 section 5.3.1). */
const WITHDRAWN = sequence(extension(OID.reasonCode, der(0x0a, Buffer.from([9]))));

/** A complete list in DER (RFC 5280 section 5) of one CA. */
export async function revocationList(signer: Signer, facts: ListFacts): Promise<Buffer> {
  const algorithm = algorithmOf(signer.signing);
  const entries = facts.entries.map(({ serial, revokedAt }) => sequence(integer(BigInt(`0x${serial}`)), time(revokedAt), WITHDRAWN));
  const body = sequence(
    VERSION_2,
    algorithm,
    signer.name,
    time(facts.thisUpdate),
    time(facts.nextUpdate),
    // an empty list of entries must be absent
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    der(0xa0, sequence(authorityKeyIdentifier(signer.identifier), extension(OID.crlNumber, integer(facts.number)))),
  );
  return sequence(body, algorithm, bits(await signBytes(signer.signing, body)));
}
