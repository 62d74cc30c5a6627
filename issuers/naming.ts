import { createHash } from "node:crypto";
import { isId, type LeaseId } from "../domain/ids.ts";

/**
 * Names of things we make at a target derive from the lease's id and from nothing else, so whatever a crash leaves behind can be
 * found, ended, and told from what others made there. A name is at most 32 characters and never used twice.
 */
const FORMS = {
  /** As it is: 32 characters of `[a-z0-9_]`, fit for a Postgres role or a file. */
  plain: { from: (body: string) => `lease_${body}`, pattern: /^lease_([0-9a-z]{26})$/ },
  /** For targets that refuse an underscore: DNS labels, IAM sessions, Kubernetes names. */
  dashed: { from: (body: string) => `lease-${body}`, pattern: /^lease-([0-9a-z]{26})$/ },
  /** For targets that allow letters and digits only. */
  bare: { from: (body: string) => `lease${body}`, pattern: /^lease([0-9a-z]{26})$/ },
} as const;
export type NameForm = keyof typeof FORMS;

/** The name of what a lease made at a target. */
export const nameFor = (lease: LeaseId, form: NameForm): string => FORMS[form].from(lease.slice("lease_".length));

/** The lease a name at a target belongs to; undefined when the thing is not ours. */
export function leaseOf(name: string, form: NameForm): LeaseId | undefined {
  const id = `lease_${FORMS[form].pattern.exec(name)?.[1] ?? ""}`;
  return isId("lease", id) ? id : undefined;
}

const BASE32 = "0123456789abcdefghjkmnpqrstvwxyz";

/**
 * The serial of a lease's X.509 certificate, in hexadecimal: 01 and the 16 bytes of the lease's UUID. Positive, 17 bytes (at most 20:
 * RFC 5280 section 4.1.2.2), and as unguessable as the id.
 */
export function serialOf(lease: LeaseId): string {
  let value = 0n;
  for (const letter of lease.slice("lease_".length)) value = value * 32n + BigInt(BASE32.indexOf(letter));
  return `01${value.toString(16).padStart(32, "0")}`;
}

/** The serial of a lease's OpenSSH certificate: 63 bits of the id's SHA-256. Never 0, which means that there is none. */
export function sshSerial(lease: LeaseId): bigint {
  const serial = createHash("sha256").update(lease).digest().readBigUInt64BE() & 0x7fff_ffff_ffff_ffffn;
  return serial === 0n ? 1n : serial;
}
