import { systemCode, UnreachableError } from "./errors.ts";

/** Why the broker at `url` could not be reached, by what `fetch` threw. */
export function unreachable(url: string, error: unknown): UnreachableError {
  return new UnreachableError(`${url} ${reason(error)}`, { code: "unreachable", retryable: true, cause: error });
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refused the connection",
  ENOTFOUND: "could not be found (DNS)",
  EAI_AGAIN: "could not be found (DNS)",
  ECONNRESET: "closed the connection",
  EHOSTUNREACH: "cannot be reached",
  ENETUNREACH: "cannot be reached",
  ETIMEDOUT: "did not answer in time",
  UND_ERR_SOCKET: "closed the connection",
  UND_ERR_CONNECT_TIMEOUT: "did not answer in time",
  SELF_SIGNED_CERT_IN_CHAIN: "has a certificate this machine does not trust; STINT_CA_FILE names the CA to trust",
  DEPTH_ZERO_SELF_SIGNED_CERT: "has a certificate this machine does not trust; STINT_CA_FILE names the CA to trust",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "has a certificate this machine does not trust; STINT_CA_FILE names the CA to trust",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "has a certificate this machine does not trust; STINT_CA_FILE names the CA to trust",
  CERT_HAS_EXPIRED: "has an expired certificate",
  ERR_TLS_CERT_ALTNAME_INVALID: "has a certificate for another name",
};

function reason(error: unknown): string {
  // Not by class: what fetch throws may come from another realm.
  for (let at: unknown = error; typeof at === "object" && at !== null; at = "cause" in at ? at.cause : undefined) {
    if ("name" in at && at.name === "TimeoutError") return "did not answer in time";
    const code = systemCode(at);
    if (code !== undefined) return REASONS[code] ?? `cannot be reached (${code})`;
    if ("message" in at && String(at.message).includes("redirect"))
      return "answered with a redirect, which a broker never does: is the address right?";
  }
  return "cannot be reached";
}
