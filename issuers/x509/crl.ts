import { setImmediate } from "node:timers/promises";
import type { BaseBlock, Sequence } from "asn1js";
import type { Extension } from "@peculiar/asn1-x509";
import type { RevokedSerial } from "../../domain/target.ts";
import type { Signer } from "./certificate.ts";
import { signBytes } from "./keys.ts";
import { library } from "./library.ts";

/** What a list says. Times are milliseconds. */
export interface ListFacts {
  readonly number: bigint;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** From `Entries`, in order. */
  readonly entries: readonly Buffer[];
}

/** Others get their turn after so many entries: a few milliseconds of writing, or of looking through what is written. */
const SLICE = { written: 100, known: 5000 } as const;

/** The entries of a Target's lists, each written once: it says the same on every list of every CA until it leaves. */
export class Entries {
  #written = new Map<string, Buffer>();

  /** Each in DER, in the order given. Lets others work between slices; forgets what is on the list no more. */
  async of(revoked: readonly RevokedSerial[]): Promise<readonly Buffer[]> {
    const before = this.#written;
    const after = new Map<string, Buffer>();
    let slice = 0;
    for (const each of revoked) {
      const known = before.get(each.serial);
      after.set(each.serial, known ?? entryOf(each));
      slice += 1 / (known === undefined ? SLICE.written : SLICE.known);
      if (slice < 1) continue;
      await setImmediate();
      slice = 0;
    }
    this.#written = after;
    return [...after.values()];
  }
}

function entryOf({ serial, revokedAt }: RevokedSerial): Buffer {
  const { asn1, asn1js, schema } = library();
  const entry = new asn1js.Sequence({
    value: [
      new asn1js.Integer({ valueHex: Buffer.from(serial, "hex") }),
      schema.AsnSerializer.toASN(new asn1.Time(new Date(revokedAt))),
      withdrawn(),
    ],
  });
  return Buffer.from(entry.toBER());
}

/** `privilegeWithdrawn`: the lease that the certificate stood for is over (RFC 5280 section 5.3.1). The same in every entry. */
let reason: Sequence | undefined;
function withdrawn(): Sequence {
  reason ??= makeReason();
  return reason;
}
function makeReason(): Sequence {
  const { asn1, asn1js, schema } = library();
  const code = schema.AsnConvert.serialize(new asn1.CRLReason(asn1.CRLReasons.privilegeWithdrawn));
  return new asn1js.Sequence({ value: [schema.AsnSerializer.toASN(extension(asn1.id_ce_cRLReasons, code))] });
}

/** A complete list in DER (RFC 5280 section 5) of one CA. */
export async function revocationList(signer: Signer, facts: ListFacts): Promise<Buffer> {
  const { asn1, asn1js, schema, x509 } = library();
  const signature = new x509.AlgorithmProvider().toAsnAlgorithm(signer.signing.algorithm);
  const identifier = new asn1.AuthorityKeyIdentifier({ keyIdentifier: new asn1.KeyIdentifier(signer.identifier) });
  const body = schema.AsnSerializer.toASN(
    new asn1.TBSCertList({
      version: asn1.Version.v2,
      signature,
      issuer: schema.AsnConvert.parse(signer.name.toArrayBuffer(), asn1.Name),
      thisUpdate: new asn1.Time(new Date(facts.thisUpdate)),
      nextUpdate: new asn1.Time(new Date(facts.nextUpdate)),
      crlExtensions: new asn1.Extensions([
        extension(asn1.id_ce_authorityKeyIdentifier, schema.AsnConvert.serialize(identifier)),
        // the library's own CRLNumber holds no more than 53 bits
        extension(asn1.id_ce_cRLNumber, asn1js.Integer.fromBigInt(facts.number).toBER()),
      ]),
    }),
  ) as Sequence;
  // an empty list of entries must be absent; else it stands before the extensions
  if (facts.entries.length > 0) body.valueBlock.value.splice(-1, 0, sequenceOf(facts.entries));
  const made = new asn1js.Sequence({
    value: [
      body,
      schema.AsnSerializer.toASN(signature),
      new asn1js.BitString({ valueHex: await signBytes(signer.signing, Buffer.from(body.toBER())) }),
    ],
  });
  return Buffer.from(made.toBER());
}

/** A SEQUENCE of what is written already. */
function sequenceOf(parts: readonly Buffer[]): BaseBlock {
  const { asn1js } = library();
  const whole = new asn1js.Primitive({ idBlock: { tagClass: 1, tagNumber: 16 }, valueHex: Buffer.concat(parts) });
  whole.idBlock.isConstructed = true;
  return whole;
}

function extension(extnID: string, value: ArrayBuffer): Extension {
  const { asn1, schema } = library();
  return new asn1.Extension({ extnID, extnValue: new schema.OctetString(value) });
}
