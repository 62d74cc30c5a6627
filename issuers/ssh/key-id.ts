import type { LeaseId } from "../../domain/ids.ts";

const MOST = 256;

/**
 * What sshd logs with each login: an address at which the lease is shown, and who got it. Only letters, digits and `-._~:/@%` can
 * stand in the workload's part, everything else is percent-encoded: no log line can be ended or forged by a workload's name.
 */
export function keyIdFor(broker: string, { leaseId, workload }: { readonly leaseId: LeaseId; readonly workload: string }): string {
  const escaped = encodeURIComponent(Buffer.from(workload).toString())
    .replaceAll(/%(2F|3A|40)/g, (code) => decodeURIComponent(code))
    .replaceAll(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
  // not in the midst of an escaped character
  const short = escaped.length <= MOST ? escaped : `${escaped.slice(0, MOST).replace(/%[0-9A-F]?$/, "")}~`;
  return `${broker}/v1/leases/${leaseId}#${short}`;
}
