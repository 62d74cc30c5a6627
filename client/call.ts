import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock, type Clock } from "../domain/time.ts";
import type { Prover } from "./proof.ts";
import { BrokerError, errorFromAnswer, UnreachableError, type ErrorBody } from "./errors.ts";
import { unreachable } from "./unreachable.ts";

/** How a client reaches its broker. */
export interface Connection {
  /** Origin of the broker, for example `https://stint.acme.dev`. */
  readonly url: string;
  readonly fetch?: typeof fetch;
  /** Milliseconds for one logical request, with all its attempts. Default 10 s. */
  readonly timeoutMs?: number;
  /** Attempts in all. Default 4. */
  readonly attempts?: number;
  readonly clock?: Clock;
  /** Proves a key with every request: what comes back is bound to it. */
  readonly prover?: Prover;
  /** Told before every pause, for people who watch. */
  readonly onRetry?: (error: BrokerError, pauseMs: number) => void;
}

/** One logical request. `bearer` is asked before each attempt; a POST keeps one Idempotency-Key over all of them. */
export interface Call {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>> | undefined;
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly bearer?: (last: BrokerError | undefined) => Promise<string>;
  /** More members of the form, asked for before each attempt. */
  readonly fill?: (last: BrokerError | undefined) => Promise<Readonly<Record<string, string>>>;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

/** An answer that was a success. */
export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

const BODY_LIMIT = 16 * 1024 * 1024;

/** Makes the request; retries only what was not decided: no answer, 5xx, 429 (after its `Retry-After`). */
export async function call<T>(connection: Connection, request: Call): Promise<Answer<T>> {
  const clock = connection.clock ?? systemClock;
  const deadline = clock() + (request.timeoutMs ?? connection.timeoutMs ?? 10_000);
  const key = request.method === "POST" ? randomUUID() : undefined;
  const attempts = connection.attempts ?? 4;
  let last: BrokerError | undefined;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once<T>(connection, request, key, last, deadline - clock());
    } catch (error) {
      if (!(error instanceof BrokerError) || request.signal?.aborted === true) throw error;
      last = error;
      const pause = pauseBefore(error, attempt);
      if (!worthRetrying(error) || attempt >= attempts || clock() + pause >= deadline) throw error;
      connection.onRetry?.(error, pause);
      await sleep(pause, undefined, request.signal === undefined ? {} : { signal: request.signal });
    }
  }
}

function worthRetrying(error: BrokerError): boolean {
  // `revocation_pending` is an answer, not a failure: the job exists and goes on; starting another would be wrong.
  if (error.code === "revocation_pending") return false;
  if (error.code === "no_identity") return error.retryable;
  // the answer brought the nonce that the next proof holds: nothing was decided
  if (error.code === "use_dpop_nonce") return true;
  if (error.status === undefined) return error instanceof UnreachableError;
  return error.status === 429 || (error.status >= 500 && error.status !== 501); // what is not offered will not be later
}

function pauseBefore(error: BrokerError, attempt: number): number {
  if (error.code === "use_dpop_nonce") return 0;
  if (error.retryAfterMs !== undefined) return error.retryAfterMs;
  return 200 * 2 ** (attempt - 1) * (0.75 + Math.random() / 2);
}

async function once<T>(
  connection: Connection,
  request: Call,
  key: string | undefined,
  last: BrokerError | undefined,
  leftMs: number,
): Promise<Answer<T>> {
  const headers: Record<string, string> = { accept: "application/json" };
  const url = address(connection.url, request);
  if (request.bearer !== undefined) Object.assign(headers, await authorize(connection, request.method, url, await request.bearer(last)));
  else if (connection.prover !== undefined) headers["dpop"] = await connection.prover.proof(request.method, url);
  if (key !== undefined) headers["idempotency-key"] = key;
  const body = encodeBody(request, request.fill === undefined ? {} : await request.fill(last), headers);
  const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(leftMs)));
  const signal = request.signal === undefined ? timeout : AbortSignal.any([timeout, request.signal]);
  let response: Response;
  let answered: string;
  try {
    response = await (connection.fetch ?? fetch)(url, {
      method: request.method,
      headers,
      signal,
      redirect: "error",
      ...(body === undefined ? {} : { body }),
    });
    connection.prover?.note(url, response.headers);
    answered = await readText(response);
  } catch (error) {
    if (request.signal?.aborted === true) throw error;
    throw unreachable(connection.url, error);
  }
  const parsed = parse(answered);
  if (response.ok && parsed !== undefined) return { status: response.status, body: parsed as T };
  if (response.ok)
    throw new BrokerError(`${connection.url} answered, but not like a Stint broker`, { code: "not_a_broker", status: response.status });
  throw errorFromAnswer(response.status, isObject(parsed) ? parsed : {}, retryAfter(response, connection.clock ?? systemClock));
}

const authorize = async ({ prover }: Connection, method: string, url: string, token: string): Promise<Record<string, string>> =>
  prover === undefined ? { authorization: `Bearer ${token}` } : await prover.authorize(method, url, token);

function encodeBody(request: Call, filled: Readonly<Record<string, string>>, headers: Record<string, string>): string | undefined {
  if (request.form !== undefined) {
    const form = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...request.form, ...filled })) {
      if (value === undefined) continue;
      for (const one of typeof value === "string" ? [value] : value) form.append(name, one);
    }
    headers["content-type"] = "application/x-www-form-urlencoded";
    return form.toString();
  }
  if (request.method !== "POST") return undefined;
  headers["content-type"] = "application/json";
  return JSON.stringify(request.json ?? {});
}

function address(url: string, request: Call): string {
  const full = new URL(request.path, url);
  for (const [name, value] of Object.entries(request.query ?? {}))
    if (value !== undefined && value !== "") full.searchParams.set(name, String(value));
  return full.href;
}

async function readText(response: Response): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body as ReadableStream<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > BODY_LIMIT) throw new Error("the answer is larger than 16 MiB");
  }
  return text + decoder.decode();
}

const isObject = (value: unknown): value is ErrorBody => typeof value === "object" && value !== null && !Array.isArray(value);

function parse(text: string): unknown {
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** RFC 9110 section 10.2.3: seconds or a date. */
function retryAfter(response: Response, clock: Clock): number | undefined {
  const value = response.headers.get("retry-after");
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - clock());
}
