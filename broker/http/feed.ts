import type { ServerResponse } from "node:http";
import { StintError } from "../../domain/errors.ts";
import { toRfc3339 } from "../../domain/time.ts";
import {
  DEFAULT_MAX_STALENESS_SECONDS,
  FeedQuery,
  PageQuery,
  SeenBody,
  UsedBody,
  VerifierPage,
  type VerifierView,
} from "../../domain/wire.ts";
import type { VerifierStatus } from "../feed/api.ts";
import { Reader, type Sink } from "../feed/reader.ts";
import { pageOfWhole } from "./render.ts";
import { route } from "./route.ts";
import { DEFAULT_PAGE } from "./tasks.ts";

const ms = (seconds: number | undefined): number => (seconds ?? DEFAULT_MAX_STALENESS_SECONDS) * 1000;
/** A snapshot that is not read to its end by then is cut off. */
const SNAPSHOT_MS = 120_000;

export const feedRoutes = [
  route({
    method: "GET",
    path: "/v1/feed",
    access: "verifier",
    summary: "Hear of what is revoked, as it is (server-sent events); position or Last-Event-ID goes on at any broker.",
    query: FeedQuery,
    answers: { 200: null },
    async handle({ query, headers, verifier }, { services: { feed }, door }) {
      const stream = await feed.open({
        verifier,
        instance: query.instance,
        maxStalenessMs: ms(query.max_staleness),
        from: query.position ?? lastEventId(headers["last-event-id"]),
        welcome: () => door.stillVerifier(headers, verifier),
      });
      return { stream: (response) => stream(wireOf(response)) };
    },
  }),
  route({
    method: "GET",
    path: "/v1/feed/snapshot",
    access: "verifier",
    summary: "Everything revoked that is not over yet, one JSON object a line; whole only with its last line.",
    answers: { 200: null },
    async handle({ verifier }, { services: { feed } }) {
      const lines = feed.snapshot(verifier)[Symbol.asyncIterator]();
      // The first line is read before the answer begins: what fails by then is refused like anything else.
      const first = await lines.next();
      return { type: "application/x-ndjson", stream: (response) => void send(first, lines, response) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/feed/seen",
    access: "verifier",
    summary: "Say what an instance has applied, so that receipts can tell when a token was dead.",
    body: SeenBody,
    answers: { 204: null },
    handle({ body, verifier }, { services: { feed } }) {
      feed.seen(verifier, body.instance, body.position, ms(body.max_staleness));
      return { status: 204 };
    },
  }),
  route({
    method: "POST",
    path: "/v1/feed/used",
    access: "verifier",
    summary: "Tell of tokens that were used, and of those that somebody tried to use after their end.",
    body: UsedBody,
    answers: { 204: null },
    async handle({ body, verifier, origin }, { services: { feed } }) {
      const uses = body.uses.map(({ count, source, route: where, ...use }) => ({ ...use, count: count ?? 1, source, route: where }));
      await feed.used(verifier, body.instance, uses, origin);
      return { status: 204 };
    },
  }),
  route({
    method: "GET",
    path: "/v1/verifiers",
    access: "viewer",
    summary: "List verifiers, their instances, and how fresh each one's knowledge is.",
    query: PageQuery,
    answers: { 200: VerifierPage },
    async handle({ query: { cursor, limit } }, { services: { feed } }) {
      const all = await feed.verifiers();
      return { status: 200, body: pageOfWhole(all, ({ verifier }) => verifier.name, verifierView, cursor, limit ?? DEFAULT_PAGE) };
    },
  }),
];

/**
 * The socket beneath an answer without chunk frames. Once its headers are out, an event is the bytes it is made of; writing past the
 * response saves a queue and a turn of the event loop for each of a thousand readers.
 */
function wireOf(response: ServerResponse): Sink {
  response.flushHeaders();
  return response.socket ?? response;
}

/** What a browser's EventSource sends when it comes back. */
function lastEventId(header: string | readonly string[] | undefined): string | undefined {
  if (typeof header !== "string" || header === "") return undefined;
  if (header.length > 4096) throw new StintError("invalid_request", "Last-Event-ID: expected a position as the feed gave it");
  return header;
}

/** Writes line after line, no faster than they are read. What breaks off ends the connection without the last line. */
async function send(first: IteratorResult<string, unknown>, lines: AsyncIterator<string>, response: ServerResponse): Promise<void> {
  const reader = new Reader(response);
  const over = setTimeout(() => reader.cut(), SNAPSHOT_MS);
  over.unref();
  try {
    for (let line = first; line.done !== true; line = await lines.next()) {
      reader.write(line.value);
      await reader.drained();
      if (reader.gone) break;
    }
    if (!reader.gone) response.end();
  } catch {
    reader.cut();
  } finally {
    clearTimeout(over);
    await lines.return?.();
  }
}

const verifierView = ({ verifier, instances }: VerifierStatus): VerifierView => ({
  name: verifier.name,
  audience: verifier.audience,
  checks: verifier.checks,
  instances: instances.map((each) => ({
    instance: each.instance,
    last_seen_at: toRfc3339(each.at),
    max_staleness: each.maxStalenessMs / 1000,
    acknowledged_at: each.ackedAt === undefined ? null : toRfc3339(each.ackedAt),
    as_of: each.asOf === undefined ? null : toRfc3339(each.asOf),
    behind_seconds: each.behindMs === undefined ? null : each.behindMs / 1000,
    stale: each.stale,
  })),
});
