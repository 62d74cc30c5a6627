import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { StintError } from "../../domain/errors.ts";
import { RefusedJson, parseJson } from "../../domain/json.ts";
import { type Parameters, parseForm } from "./form.ts";
import { inTurn } from "./in-turn.ts";

/** No request body is larger. */
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
    // most bodies come in one piece
    let first: Buffer = EMPTY;
    let [size, done] = [0, false];
    let chunks: Buffer[] | undefined;
    const onData = (chunk: Buffer): void => {
      // of what is too large the rest is read and dropped until the server's own request deadline, so that the answer can be delivered
      if (done) return;
      if (size === 0) first = chunk;
      else (chunks ??= [first]).push(chunk);
      size += chunk.length;
      if (size <= limit) return;
      [done, first, chunks] = [true, EMPTY, undefined];
      reject(tooLarge(limit));
    };
    const onEnd = (): void => {
      if (done) return;
      done = true;
      inTurn(() => resolve(chunks === undefined ? first : Buffer.concat(chunks, size)));
    };
    const onGone = (): void => {
      if (done) return;
      done = true;
      reject(new StintError("invalid_request", "the request ended before its body did"));
    };
    // they stay until the request is gone: to take four listeners off again is work, and an error must find one
    request.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone);
  });
}

const tooLarge = (limit: number): StintError => new StintError("payload_too_large", `the body is larger than ${limit} bytes`);

/** A kind of body: `expect` looks at the headers before anything is read, `parse` at what was read. Both throw what the caller is told. */
export interface BodyKind {
  expect(request: IncomingMessage): void;
  parse(request: IncomingMessage, raw: Buffer): unknown;
}

/** A JSON body, parsed strictly. No body at all reads as `{}`, so that a route decides by its schema what it needs. */
export const jsonBody: BodyKind = {
  expect(request) {
    refuseEncoding(request, "unsupported_media_type");
    const type = request.headers["content-type"];
    if (type !== undefined) checkType(type, "application/json", "unsupported_media_type");
  },
  parse(request, raw) {
    if (raw.length === 0) return {};
    if (request.headers["content-type"] === undefined)
      throw new StintError("unsupported_media_type", "the body has no content type; expected application/json");
    try {
      return parseJson(utf8(raw));
    } catch (error) {
      if (error instanceof RefusedJson) throw new StintError("invalid_request", `the body is refused: ${error.message}`);
      throw error;
    }
  },
};

/** A form body of the OAuth endpoints, flat; any other type is `invalid_request` there (RFC 6749 section 5.2). */
export const formBody: BodyKind = {
  expect(request) {
    refuseEncoding(request, "invalid_request");
    checkType(request.headers["content-type"] ?? "", "application/x-www-form-urlencoded", "invalid_request");
  },
  parse: (_request, raw): Parameters => parseForm(utf8(raw)),
};

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
