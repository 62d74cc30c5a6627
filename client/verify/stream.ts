import type { VerifierClock } from "./clock.ts";
import { type Fetch, HttpFailure, asFailure, mediaType } from "./http.ts";

export interface StreamRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The media type that the answer must have. */
  readonly type: string;
  /** How long until the answer begins, and between two pieces of it. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
}

export interface OpenStream {
  /** The answer's `Date` in milliseconds. */
  readonly date: number | undefined;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** Opens an answer that is read as it comes. Throws HttpFailure, at the start and while it is read. */
export async function openStream(fetch: Fetch, clock: VerifierClock, request: StreamRequest): Promise<OpenStream> {
  const { url, headers, type, idleMs, signal } = request;
  const abort = new AbortController();
  const stop = (): void => abort.abort(signal.reason);
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  const done = (): void => signal.removeEventListener("abort", stop);
  try {
    const asked = fetch(url, { headers: { ...headers, accept: type }, redirect: "manual", signal: abort.signal });
    const response = await inTime(asked, clock, idleMs, abort);
    if (response.status !== 200 || mediaType(response) !== type || response.body === null) {
      response.body?.cancel().catch(() => undefined);
      throw new HttpFailure(response.status === 200 ? "its answer is of another type" : `it answered ${response.status}`, response.status);
    }
    const date = Date.parse(response.headers.get("date") ?? "");
    return { date: Number.isFinite(date) ? date : undefined, chunks: read(response.body, clock, idleMs, abort, done) };
  } catch (error) {
    done();
    const failure = asFailure(error, abort.signal);
    abort.abort(failure);
    throw failure;
  }
}

async function* read(
  body: ReadableStream<Uint8Array>,
  clock: VerifierClock,
  idleMs: number,
  abort: AbortController,
  done: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body.getReader();
  try {
    for (;;) {
      const piece = await inTime(reader.read(), clock, idleMs, abort);
      if (piece.done) return;
      yield piece.value;
    }
  } catch (error) {
    throw asFailure(error, abort.signal);
  } finally {
    done();
    abort.abort(new HttpFailure("closed"));
    reader.cancel().catch(() => undefined); // a server that hangs would have us wait for it here
  }
}

/** Waits no longer than that, and no longer than until the abort, whether or not what is waited for heeds it. */
function inTime<T>(waited: Promise<T>, clock: VerifierClock, ms: number, abort: AbortController): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = clock.after(ms, () => abort.abort(new HttpFailure(`nothing came for ${ms} ms`)));
    const stopped = (): void => {
      cancel();
      reject(asFailure(abort.signal.reason, abort.signal));
    };
    const settle = (): void => {
      cancel();
      abort.signal.removeEventListener("abort", stopped);
    };
    if (abort.signal.aborted) stopped();
    else abort.signal.addEventListener("abort", stopped, { once: true });
    waited.then(
      (value) => {
        settle();
        resolve(value);
      },
      (error: unknown) => {
        settle();
        reject(asFailure(error, abort.signal));
      },
    );
  });
}
