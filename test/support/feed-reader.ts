import { request, type ClientRequest, type IncomingMessage } from "node:http";

/** One server-sent event, read. */
export interface FeedEvent {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A connection to `/v1/feed` that knows nothing of our code. */
export interface FeedReader {
  readonly events: readonly FeedEvent[];
  /** The last id it was given. */
  readonly lastId: string | undefined;
  readonly ended: boolean;
  readonly response: IncomingMessage;
  /** The first event, already here or to come, that is as wanted. */
  next(wanted: (event: FeedEvent) => boolean, withinMs?: number): Promise<FeedEvent>;
  onEvent(listener: (event: FeedEvent) => void): void;
  pause(): void;
  resume(): void;
  close(): void;
  /** Resolves when the other side has ended it. */
  readonly closed: Promise<void>;
}

export interface FeedReaderOptions {
  readonly key: string;
  readonly instance?: string;
  readonly position?: string | undefined;
  readonly lastEventId?: string;
  readonly maxStaleness?: number;
}

/** Opens a stream. Rejects with the status when it is refused. */
export function readFeed(url: string, options: FeedReaderOptions): Promise<FeedReader> {
  const at = new URL("/v1/feed", url);
  at.searchParams.set("instance", options.instance ?? "api-1");
  if (options.maxStaleness !== undefined) at.searchParams.set("max_staleness", String(options.maxStaleness));
  if (options.position !== undefined) at.searchParams.set("position", options.position);
  const headers = {
    authorization: `Bearer ${options.key}`,
    ...(options.lastEventId === undefined ? {} : { "last-event-id": options.lastEventId }),
  };
  return new Promise((resolve, reject) => {
    const asked = request(at, { headers, agent: false });
    asked.once("error", reject);
    asked.once("response", (response) => {
      if (response.statusCode === 200) return resolve(readerOf(asked, response));
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      response.once("end", () => reject(Object.assign(new Error(`${response.statusCode} ${text}`), { status: response.statusCode })));
    });
    asked.end();
  });
}

function readerOf(asked: ClientRequest, response: IncomingMessage): FeedReader {
  const events: FeedEvent[] = [];
  const listeners = new Set<(event: FeedEvent) => void>();
  const state = { lastId: undefined as string | undefined, ended: false };
  let rest = "";
  asked.on("error", () => undefined);
  response.on("error", () => undefined);
  response.setEncoding("utf8").on("data", (piece: string) => {
    rest += piece;
    const blocks = rest.split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const event = parse(block);
      if (event === undefined) continue;
      if (event.id !== undefined) state.lastId = event.id;
      events.push(event);
      for (const listener of listeners) listener(event);
    }
  });
  const closed = new Promise<void>((resolve) =>
    response.once("close", () => {
      state.ended = true;
      resolve();
    }),
  );
  return {
    events,
    get lastId() {
      return state.lastId;
    },
    get ended() {
      return state.ended;
    },
    response,
    closed,
    onEvent: (listener) => void listeners.add(listener),
    next: (wanted, withinMs = 5000) =>
      new Promise((resolve, reject) => {
        const there = events.find(wanted);
        if (there !== undefined) return resolve(there);
        const timer = setTimeout(() => {
          listeners.delete(listener);
          reject(new Error(`no such event within ${withinMs} ms; had ${JSON.stringify(events.slice(-5))}`));
        }, withinMs);
        const listener = (event: FeedEvent): void => {
          if (!wanted(event)) return;
          clearTimeout(timer);
          listeners.delete(listener);
          resolve(event);
        };
        listeners.add(listener);
      }),
    pause: () => void response.pause(),
    resume: () => void response.resume(),
    close: () => void asked.destroy(),
  };
}

function parse(block: string): FeedEvent | undefined {
  const fields = new Map(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)] as const));
  const event = fields.get("event");
  if (event === undefined) return undefined;
  return { event, id: fields.get("id"), data: JSON.parse(fields.get("data") ?? "{}") as Record<string, unknown> };
}
