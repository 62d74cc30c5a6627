import type { VerifierClock } from "./clock.ts";
import { type Fetch, fetchText } from "./http.ts";
import type { VerifierLog } from "./log.ts";
import { type OpenStream, openStream } from "./stream.ts";

export interface FeedSettings {
  readonly issuer: string;
  readonly audience: string;
  /** `Authorization` of the verifier. */
  readonly authorization: string;
  readonly instance: string;
  readonly maxStalenessMs: number;
  readonly fetch: Fetch;
  readonly clock: VerifierClock;
  readonly log: VerifierLog;
}

/** The broker sends something each second or two; after this long without anything the connection is dead. */
const IDLE_MS = 10_000;

/** Opens a snapshot of all that is revoked. Throws HttpFailure, as all of these. */
export function openSnapshot(settings: FeedSettings, signal: AbortSignal): Promise<OpenStream> {
  return open(settings, "/v1/feed/snapshot", "application/x-ndjson", signal);
}

/** Opens the stream of what is revoked after a position. */
export function openFeed(settings: FeedSettings, position: string, signal: AbortSignal): Promise<OpenStream> {
  const { instance } = settings;
  const query = new URLSearchParams({ instance, max_staleness: String(staleness(settings)), position });
  return open(settings, `/v1/feed?${query.toString()}`, "text/event-stream", signal);
}

/** Tells the broker that everything up to a position has been applied. */
export async function postSeen(settings: FeedSettings, position: string, appliedAt: number): Promise<void> {
  const { issuer, authorization, instance, fetch, clock } = settings;
  const body = JSON.stringify({ instance, position, max_staleness: staleness(settings), applied_at: Math.round(appliedAt) });
  const headers = { authorization, "content-type": "application/json" };
  await fetchText(fetch, clock, `${issuer}/v1/feed/seen`, { method: "POST", headers, body, maxBytes: 65_536, timeoutMs: 5_000 });
}

const staleness = ({ maxStalenessMs }: FeedSettings): number => Math.max(1, Math.ceil(maxStalenessMs / 1000));

function open({ issuer, authorization, fetch, clock }: FeedSettings, path: string, type: string, signal: AbortSignal): Promise<OpenStream> {
  return openStream(fetch, clock, { url: `${issuer}${path}`, headers: { authorization }, type, idleMs: IDLE_MS, signal });
}
