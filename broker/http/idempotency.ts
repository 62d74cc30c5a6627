import { hash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { StintError } from "../../domain/errors.ts";
import type { IdempotencyHint } from "../services.ts";

/** `Idempotency-Key`, quoted (as the draft has it) or bare, 128 characters at most; throws `invalid_request` for another form. */
export function idempotencyOf(headers: IncomingHttpHeaders, body: Buffer): IdempotencyHint | undefined {
  const header = headers["idempotency-key"];
  if (header === undefined) return undefined;
  const [, quoted, bare] =
    typeof header === "string"
      ? (/^(?:"([\x20\x21\x23-\x5b\x5d-\x7e]{1,128})"|([\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,128}))$/.exec(header) ?? [])
      : [];
  const key = quoted ?? bare;
  if (key === undefined)
    throw new StintError("invalid_request", "the Idempotency-Key must be 1 to 128 printable characters, quoted or bare");
  return { key, bodySha256: hash("sha256", body, "hex") };
}
