import type { VerifierClock } from "./clock.ts";

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

/** Why an answer was not taken; for the log. */
export class HttpFailure extends Error {
  override readonly name: string = "HttpFailure";
  readonly status: number | undefined;
  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

export interface BoundedRequest {
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** What the media type must look like; not looked at where absent. */
  readonly type?: RegExp;
}

/** Fetches a small document: no redirects, 200 (or 204) only, in time, of the right type, and not longer than said. Throws HttpFailure. */
export async function fetchText(fetch: Fetch, clock: VerifierClock, url: string, request: BoundedRequest): Promise<string> {
  const { method = "GET", headers = {}, body, maxBytes, timeoutMs, type } = request;
  const abort = new AbortController();
  const cancel = clock.after(timeoutMs, () => abort.abort(new HttpFailure(`no answer within ${timeoutMs} ms`)));
  try {
    const response = await fetch(url, {
      method,
      headers: { ...headers },
      redirect: "manual",
      signal: abort.signal,
      ...(body !== undefined && { body }),
    });
    const found = mediaType(response);
    if ((response.status !== 200 && response.status !== 204) || (type !== undefined && !type.test(found))) {
      await response.body?.cancel().catch(() => undefined);
      if (response.status !== 200 && response.status !== 204) throw new HttpFailure(`it answered ${response.status}`, response.status);
      throw new HttpFailure("its answer is of another type");
    }
    return await readBounded(response, maxBytes);
  } catch (error) {
    throw asFailure(error, abort.signal);
  } finally {
    cancel();
  }
}

/** The media type without its parameters, lower case. */
export const mediaType = (response: Response): string =>
  (response.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";

async function readBounded(response: Response, maxBytes: number): Promise<string> {
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = response.body?.getReader();
  if (reader === undefined) return "";
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    bytes += value.byteLength;
    if (bytes > maxBytes) {
      await reader.cancel().catch(() => undefined);
      throw new HttpFailure(`its answer is longer than ${maxBytes} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
}

/** Runtimes disagree about what an aborted fetch throws; the reason we gave is what happened. */
export function asFailure(error: unknown, signal: AbortSignal): HttpFailure {
  if (error instanceof HttpFailure) return error;
  if (signal.aborted && signal.reason instanceof HttpFailure) return signal.reason;
  return new HttpFailure(error instanceof Error ? describe(error) : "it cannot be reached", undefined, { cause: error });
}

function describe(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
