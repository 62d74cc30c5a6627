import { PermanentFailure, RetryableFailure } from "../../domain/credential.ts";
import { parseJson } from "../../domain/json.ts";
import type { TargetPorts } from "../../domain/target.ts";
import { type OutsideAnswer, requestOutside } from "../../outside/request.ts";
import { reachOf } from "../reach.ts";
import { appJwt } from "./app-jwt.ts";
import type { QuotaWatch } from "./quota.ts";
import type { GitHubAppSettings } from "./settings.ts";

/** An exchange with GitHub may take this long. */
const TIMEOUT_MS = 10_000;
/** 500 repositories in an answer take some 3 MB. */
const MAX_BYTES = 8 * 2 ** 20;
const VERSION = "2022-11-28";

export interface ApiParts {
  readonly settings: GitHubAppSettings;
  readonly ports: Pick<TargetPorts, "secret" | "clock">;
  readonly quota: QuotaWatch;
}

export interface ApiCall {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  /** As the App until that instant (milliseconds), or with an installation's own token. */
  readonly as: { readonly appUntil: number } | { readonly token: string };
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

/** One exchange with GitHub's REST API; any status is an answer. Throws OutsideError when there was none. */
export async function callGitHub({ settings, ports, quota }: ApiParts, call: ApiCall): Promise<OutsideAnswer> {
  const { as, body } = call;
  const bearer =
    "token" in as ? as.token : await appJwt(settings.app, await ports.secret(settings.private_key), ports.clock(), as.appUntil);
  const answer = await requestOutside(`${settings.api_url}${call.path}`, await reachOf(settings, ports), {
    method: call.method,
    headers: {
      accept: "application/vnd.github+json",
      authorization: `Bearer ${bearer}`,
      "x-github-api-version": VERSION,
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    timeoutMs: TIMEOUT_MS,
    maxBytes: MAX_BYTES,
    signal: call.signal,
  });
  quota.note("token" in as ? "installation" : "app", answer);
  return answer;
}

/** JSON of an answer; undefined when it is none. */
export function jsonOf(answer: Pick<OutsideAnswer, "body">): unknown {
  try {
    return parseJson(answer.body);
  } catch {
    return undefined;
  }
}

/** What a refusal means: whether it passes by itself, and what a person should look at. */
export function failureOf(answer: OutsideAnswer, doing: string, quota: QuotaWatch): RetryableFailure | PermanentFailure {
  const { status } = answer;
  const said = `GitHub answered ${status} when asked to ${doing}${wordsOf(answer)}`;
  const wait = quota.blockedMs();
  if ((status === 403 || status === 429) && wait !== undefined)
    return new RetryableFailure(`${said}; its limits pass`, { retryAfterMs: wait });
  if (status === 401) return new PermanentFailure(`${said}: check client_id or app_id, private_key, and that the clocks agree`);
  if (status === 403) return new PermanentFailure(`${said}: is the installation suspended?`);
  if (status === 404) return new PermanentFailure(`${said}: is the App still installed there, and api_url right?`);
  if (status === 422) return new PermanentFailure(`${said}: has the installation these repositories and permissions?`);
  if (status >= 300 && status < 400) return new PermanentFailure(`${said}: is api_url right, or was the account renamed?`);
  if (status < 500 && status >= 400) return new PermanentFailure(`${said}: is api_url right?`);
  return new RetryableFailure(said);
}

/** GitHub's own sentence, if it is short and holds nothing that looks like a token. */
function wordsOf(answer: OutsideAnswer): string {
  const json = jsonOf(answer);
  const message = typeof json === "object" && json !== null && "message" in json ? json.message : undefined;
  if (typeof message !== "string" || message === "") return "";
  const plain = message.replaceAll(/[^\x20-\x7e]+/g, " ").replaceAll(/[\w.~+/=-]{24,}/g, "[...]");
  return ` (${plain.slice(0, 160)})`;
}
