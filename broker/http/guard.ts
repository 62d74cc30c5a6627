import type { IncomingMessage } from "node:http";
import { StintError } from "../../domain/errors.ts";

/** Headers that must stand once: two of them mean that somebody in between may have read the other one. */
const ONCE: ReadonlyMap<string, number> = new Map(
  ["authorization", "content-type", "content-length", "host", "idempotency-key", "traceparent", "transfer-encoding"].map((name, index) => [
    name,
    1 << index,
  ]),
);
const MAX_HEADERS = 100;
const MAX_TARGET = 8192;

/** Refuses what a proxy and we could read differently, before anything is read. Throws `invalid_request`. */
export function refuseAmbiguous(request: IncomingMessage): void {
  const target = request.url ?? "";
  if (!target.startsWith("/") || target.startsWith("//")) throw new StintError("invalid_request", "the request target must be a path");
  if (target.length > MAX_TARGET) throw new StintError("invalid_request", "the request target is too long");
  const raw = request.rawHeaders;
  if (raw.length > 2 * MAX_HEADERS) throw new StintError("invalid_request", `more than ${MAX_HEADERS} headers`);
  let seen = 0;
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]?.toLowerCase() ?? "";
    const bit = ONCE.get(name);
    if (bit === undefined) continue;
    if ((seen & bit) !== 0) throw new StintError("invalid_request", `the header ${name} stands twice`);
    seen |= bit;
  }
}
