import type { IncomingMessage } from "node:http";
import { StintError } from "../../domain/errors.ts";
import type { Possession } from "../dpop/possession.ts";
import type { ClientCertificate } from "./client-certificate.ts";
import type { Answer, House, Route, Streaming } from "./route.ts";

type Proving = Pick<Route, "access"> & Partial<Pick<Route, "proofs">>;

const takesProofs = ({ access, proofs }: Proving): boolean => proofs === true || access === "bearer" || access === "holder";

/**
 * Which keys a request proves; undefined where its route takes no proofs. A proof that is sent must be good, whether anything asks
 * for it or not. Throws `invalid_dpop_proof`, `use_dpop_nonce`.
 */
export function possessionOf(
  request: IncomingMessage,
  route: Proving,
  from: { readonly house: House; readonly certificateOf: ClientCertificate },
): Possession | undefined | Promise<Possession> {
  if (!takesProofs(route)) return undefined;
  const { dpop, authorization } = request.headers;
  // most requests prove nothing but what their connection does
  if (dpop === undefined && (authorization === undefined || route.access === "open"))
    return { scheme: undefined, proof: undefined, certificate: from.certificateOf(request) };
  return provenBy(request, route, from);
}

async function provenBy(
  request: IncomingMessage,
  route: Proving,
  { house, certificateOf }: { readonly house: House; readonly certificateOf: ClientCertificate },
): Promise<Possession> {
  const { dpop, authorization } = request.headers;
  const presented = authorization === undefined || route.access === "open" ? undefined : house.door.presented(request.headers);
  const scheme = presented?.scheme;
  if (dpop === undefined && scheme === "DPoP")
    throw new StintError("invalid_dpop_proof", "a token of scheme DPoP needs a proof in the DPoP header");
  const token = scheme === "DPoP" ? presented?.token : undefined;
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  const asked = { method: request.method ?? "", path, token };
  const proof = dpop === undefined ? undefined : await house.services.proofs.check(String(dpop), asked);
  return { scheme, proof, certificate: certificateOf(request) };
}

/** RFC 9449 section 8.2: whoever sends proofs is told the next nonce with every answer, good or bad. */
export function withNonce(answer: Answer | Streaming, request: IncomingMessage, route: Proving, house: House): Answer | Streaming {
  const { dpop, authorization } = request.headers;
  const proves = takesProofs(route) && (dpop !== undefined || /^dpop /i.test(authorization ?? ""));
  if ("stream" in answer || !proves) return answer;
  return { ...answer, headers: [...(answer.headers ?? []), "DPoP-Nonce", house.services.proofs.nonce()] };
}
