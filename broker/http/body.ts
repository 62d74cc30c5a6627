import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { StintError } from "../../domain/errors.ts";
import { RefusedJson, parseJson } from "../../domain/json.ts";
import { type Parameters, parseForm } from "./form.ts";

/** No request body is larger (CONTRACT section 7). */
export const BODY_LIMIT = 65_536;

const EMPTY = Buffer.alloc(0);

/**
 * The whole body, at most `limit` bytes. A larger one is refused as soon as that is known: by its declared length before a byte
 * is read, else at the first chunk too many. Throws `payload_too_large`; `invalid_request` when the caller went away.
 */
export function readBody(request: IncomingMessage, limit: number = BODY_LIMIT): Promise<Buffer> {
  const declared = request.headers["content-length"];
  if (declared === undefined && request.headers["transfer-encoding"] === undefined) return Promise.resolve(EMPTY);
  if (declared !== undefined && Number(declared) > limit) return Promise.reject(tooLarge(limit));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const stop = (): void => {
      request.off("data", onData).off("end", onEnd).off("error", onGone).off("close", onGone);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      chunks.push(chunk);
      if (size <= limit) return;
      stop();
      // the rest is read and dropped until the server's own request deadline, so that the answer can still be delivered
      request.on("error", () => undefined).resume();
      reject(tooLarge(limit));
    };
    const onEnd = (): void => {
      stop();
      const [only] = chunks;
      resolve(only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks, size));
    };
    const onGone = (): void => {
      stop();
      reject(new StintError("invalid_request", "the request ended before its body did"));
    };
    request.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone);
  });
}

const tooLarge = (limit: number): StintError => new StintError("payload_too_large", `the body is larger than ${limit} bytes`);

/** A JSON body, parsed strictly. No body at all reads as `{}`, so that a route decides by its schema what it needs. */
export async function readJson(request: IncomingMessage): Promise<{ readonly value: unknown; readonly raw: Buffer }> {
  refuseEncoding(request, "unsupported_media_type");
  const type = request.headers["content-type"];
  if (type !== undefined) checkType(type, "application/json", "unsupported_media_type");
  const raw = await readBody(request);
  if (raw.length === 0) return { value: {}, raw };
  if (type === undefined) throw new StintError("unsupported_media_type", "the body has no content type; expected application/json");
  try {
    return { value: parseJson(utf8(raw)), raw };
  } catch (error) {
    if (error instanceof RefusedJson) throw new StintError("invalid_request", `the body is refused: ${error.message}`);
    throw error;
  }
}

/** A form body of the OAuth endpoints, flat; any other type is `invalid_request` there (RFC 6749 section 5.2). */
export async function readForm(request: IncomingMessage): Promise<{ readonly value: Parameters; readonly raw: Buffer }> {
  refuseEncoding(request, "invalid_request");
  checkType(request.headers["content-type"] ?? "", "application/x-www-form-urlencoded", "invalid_request");
  const raw = await readBody(request);
  return { value: parseForm(utf8(raw)), raw };
}

function utf8(raw: Buffer): string {
  if (!isUtf8(raw)) throw new StintError("invalid_request", "the body is not UTF-8");
  return raw.toString("utf8");
}

function refuseEncoding(request: IncomingMessage, code: "unsupported_media_type" | "invalid_request"): void {
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "identity")
    throw new StintError(code, "compressed bodies are not accepted; send it without Content-Encoding");
}

/** `type/subtype`, and of all parameters only `charset=utf-8`. */
function checkType(header: string, wanted: string, code: "unsupported_media_type" | "invalid_request"): void {
  if (header === wanted) return;
  const [type = "", ...parameters] = header
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  if (type !== wanted) throw new StintError(code, `expected a body of type ${wanted}`);
  for (const parameter of parameters) {
    if (parameter !== "" && !/^charset="?utf-8"?$/.test(parameter))
      throw new StintError(code, "expected charset utf-8 and no other parameter of the content type");
  }
}
