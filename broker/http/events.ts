import type { ServerResponse } from "node:http";
import { StintError } from "../../domain/errors.ts";
import { toRfc3339 } from "../../domain/time.ts";
import { EventQuery } from "../../domain/wire.ts";
import type { BrokerEvent } from "../services.ts";
import { route } from "./route.ts";

/** A reader with this much unread is cut off: events are for watching, the audit trail is for reading back. */
const MAX_UNREAD_BYTES = 262_144;
const MAX_READERS = 64;
const KEEPALIVE_MS = 15_000;

/** GET /v1/events: what happens, as it happens (server-sent events). */
export const eventsRoute = route({
  method: "GET",
  path: "/v1/events",
  access: "viewer",
  summary: "Watch what happens (server-sent events); Last-Event-ID resumes while it is still held.",
  query: EventQuery,
  answers: { 200: null },
  handle({ query, headers, operator }, { services, door, watchers }) {
    if (watchers.open >= MAX_READERS)
      throw new StintError("too_many_requests", `${MAX_READERS} readers are connected already`, { retryAfterSeconds: 30 });
    const since = headers["last-event-id"];
    const wanted = (event: BrokerEvent): boolean =>
      (query.action === undefined || event.type === query.action) &&
      (query.workload === undefined || event.data["workload"] === query.workload);
    const stream = (response: ServerResponse): void => {
      const write = (text: string): void => {
        if (response.writableLength > MAX_UNREAD_BYTES) response.destroy();
        else response.write(text);
      };
      // each beat asks again who this is: a removed operator stops seeing
      const beat = setInterval(() => (door.stillKnown(headers, operator) ? write(": still here\n\n") : response.end()), KEEPALIVE_MS);
      watchers.open++;
      write(": watching\n\n");
      const stop = services.events.subscribe(
        (event) => wanted(event) && write(frame(event)),
        typeof since === "string" ? since.slice(0, 128) : undefined,
      );
      response.once("close", () => {
        watchers.open--;
        clearInterval(beat);
        stop();
      });
    };
    return { stream };
  },
});

/** JSON has no raw line ends, so one data line holds it whole. */
const frame = (event: BrokerEvent): string =>
  `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify({ ...event.data, at: toRfc3339(event.at) })}\n\n`;
