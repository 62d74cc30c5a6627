import type { IncomingHttpHeaders } from "node:http";
import type { z } from "zod";
import { PermanentFailure, RetryableFailure } from "../../domain/credential.ts";
import { parseJson } from "../../domain/json.ts";
import type { TargetPorts } from "../../domain/target.ts";
import { type OutsideAnswer, OutsideError, requestOutside } from "../../outside/request.ts";
import { reachOf } from "../reach.ts";
import type { HttpSettings } from "./settings.ts";
import { signRequest } from "./signature.ts";
import { MAX_ANSWER, MAX_DEPTH, Refusal } from "./wire.ts";

/** An exchange with a maker may take this long. */
const TIMEOUT_MS = 15_000;
const LEAST_KEY = 32;
/** A maker that asks for more patience is asked again all the same. */
const LONGEST_WAIT_SECONDS = 3600;

export interface MakerParts {
  readonly settings: HttpSettings;
  readonly ports: Pick<TargetPorts, "secret" | "clock" | "broker">;
}

export interface MakerCall {
  readonly method: "GET" | "POST" | "DELETE";
  /** After the maker's URL. */
  readonly path: string;
  readonly body?: unknown;
  readonly handle?: string | undefined;
  readonly maxBytes?: number;
  readonly signal: AbortSignal;
}

/** One signed exchange with a maker; any status is an answer. Throws RetryableFailure when there was none. */
export async function callMaker({ settings, ports }: MakerParts, call: MakerCall): Promise<OutsideAnswer> {
  const key = await ports.secret(settings.key);
  if (key.reveal().length < LEAST_KEY)
    throw new PermanentFailure(`the key at ${settings.key} is shorter than ${LEAST_KEY} characters: make a longer one`);
  const url = `${settings.url}${call.path}`;
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  const covered = call.handle === undefined ? {} : { "stint-handle": call.handle };
  const signed = signRequest({ method: call.method, url, body, covered }, key, settings.key_id, ports.clock());
  try {
    return await requestOutside(url, await reachOf(settings, ports), {
      method: call.method,
      headers: { ...signed, accept: "application/json", ...(body !== undefined && { "content-type": "application/json" }) },
      ...(body !== undefined && { body }),
      timeoutMs: TIMEOUT_MS,
      maxBytes: call.maxBytes ?? MAX_ANSWER,
      signal: call.signal,
    });
  } catch (error) {
    if (!(error instanceof OutsideError)) throw error;
    throw new RetryableFailure(`the maker at ${settings.url} ${error.message}`, { cause: error });
  }
}

/** Reads a good answer strictly. Throws PermanentFailure that names the member at fault and quotes nothing. */
export function readAnswer<T>(schema: z.ZodType<T>, answer: OutsideAnswer): T {
  const read = schema.safeParse(jsonOf(answer));
  if (read.success) return read.data;
  const issue = read.error.issues[0];
  // A member's own name may be anything: only those of the contract are repeated.
  const place = issue?.path.filter((part) => typeof part === "number" || /^[a-z_]{1,32}$/.test(String(part))).join(".") ?? "";
  throw new PermanentFailure(
    `the maker's answer is not what the contract says${place === "" ? "" : `, at ${place}`} (${issue?.code ?? "unknown"})`,
  );
}

function jsonOf(answer: OutsideAnswer): unknown {
  const type = answer.headers["content-type"] ?? "";
  if (!/^application\/(?:[\w.-]+\+)?json(?:;|$)/i.test(type))
    throw new PermanentFailure("the maker answered with something that is not JSON");
  try {
    return parseJson(answer.body, MAX_DEPTH);
  } catch (error) {
    throw new PermanentFailure(`the maker's answer is ${error instanceof Error ? error.message : "not JSON"}`);
  }
}

/** What a refusal means. `doing`: `make`, `end`. */
export function refusalOf(answer: OutsideAnswer, doing: string): RetryableFailure | PermanentFailure {
  const { status } = answer;
  const said = `the maker answered ${status} when asked to ${doing}${wordsOf(answer)}`;
  if (status === 401 || status === 403) return new PermanentFailure(`${said}: has it the same key, and do the clocks agree?`);
  if (status >= 300 && status < 400) return new PermanentFailure(`${said}: redirects are not followed; is url right?`);
  const passes = status >= 500 || [202, 408, 409, 423, 425, 429].includes(status);
  if (passes) return new RetryableFailure(said, { retryAfterMs: retryAfterMs(answer.headers) });
  return new PermanentFailure(said);
}

function retryAfterMs(headers: IncomingHttpHeaders): number | undefined {
  const text = headers["retry-after"];
  return text !== undefined && /^[0-9]{1,9}$/.test(text) ? Math.min(Number(text), LONGEST_WAIT_SECONDS) * 1000 : undefined;
}

/** A refusal's `detail`, if it is short and plain and holds nothing that looks like a secret. */
function wordsOf(answer: OutsideAnswer): string {
  let detail: string | undefined;
  try {
    detail = Refusal.parse(parseJson(answer.body, MAX_DEPTH)).detail;
  } catch {
    return "";
  }
  const plain = detail?.replaceAll(/[^\x20-\x7e]+/g, " ").replaceAll(/[\w.~+/=-]{20,}/g, "[...]");
  return plain === undefined || plain === "" ? "" : ` (${plain.slice(0, 160)})`;
}
