import { letGo } from "../clock.ts";
import type { MarkKind } from "../marks.ts";

interface Entry {
  readonly event: "revoked" | "mark";
  readonly data: Readonly<Record<string, unknown>>;
}

interface Stream {
  send(text: string): Promise<void>;
  end(): void;
}

const HEARTBEAT_MS = 2_000;
const ENCODER = new TextEncoder();

/** The broker's feed in miniature, inside this process: what is sent has been applied by every reader when `send` resolves. */
export class TestFeed {
  readonly #now: () => number;
  readonly #entries: Entry[] = [];
  readonly #streams = new Set<Stream>();
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #dark = false;

  constructor(now: () => number) {
    this.#now = now;
  }

  async revoke(lease: string, exp: number): Promise<void> {
    await this.#add({ event: "revoked", data: { leases: [[lease, exp]] } });
  }

  async mark(scope: MarkKind, name: string, at: number): Promise<void> {
    await this.#add({ event: "mark", data: { scope, name, at } });
  }

  /** Says how far it has read; nothing while it is dark. */
  async sync(): Promise<void> {
    await this.#send(this.#text("sync", { now: this.#now() }));
  }

  /** Cuts everybody off and answers nobody, until it is lit again. */
  setDark(dark: boolean): void {
    this.#dark = dark;
    if (dark) this.close();
  }

  close(): void {
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
    for (const stream of this.#streams) stream.end();
  }

  /** Answers `/v1/feed...`; undefined for other paths. */
  answer(url: URL): Response | undefined {
    if (!url.pathname.startsWith("/v1/feed")) return undefined;
    if (this.#dark) return new Response(null, { status: 503 });
    if (url.pathname === "/v1/feed") return this.#stream(Number(url.searchParams.get("position") ?? "0"));
    if (url.pathname === "/v1/feed/snapshot") return this.#snapshot(url.origin);
    return new Response(null, { status: 204 });
  }

  #snapshot(issuer: string): Response {
    const position = String(this.#entries.length);
    const leases = this.#entries.flatMap(({ data }) => (data["leases"] as unknown[] | undefined) ?? []);
    const marks = this.#entries.filter(({ event }) => event === "mark").map(({ data }) => ({ mark: data }));
    const lines = [
      { snapshot: 1, position, as_of: this.#now(), issuer },
      ...marks,
      { leases },
      { end: true, leases: leases.length, marks: marks.length },
    ];
    const body = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    return new Response(body, { headers: { "content-type": "application/x-ndjson" } });
  }

  #stream(from: number): Response {
    let idle = (): void => undefined;
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
    const forget = (): void => {
      this.#streams.delete(stream);
      idle();
    };
    const stream: Stream = {
      send: (text) =>
        new Promise((resolve) => {
          idle = resolve;
          controller?.enqueue(ENCODER.encode(text));
        }),
      end: () => {
        forget();
        controller?.close();
      },
    };
    const body = new ReadableStream<Uint8Array>(
      {
        start: (given) => {
          controller = given;
        },
        // asked for more: whatever was sent before has been dealt with
        pull: () => idle(),
        cancel: forget,
      },
      { highWaterMark: 0 },
    );
    this.#streams.add(stream);
    const missed = this.#entries.slice(from).map((entry, at) => this.#text(entry.event, entry.data, from + at + 1));
    void stream.send(["retry: 1000\n\n", ...missed, this.#text("sync", {})].join(""));
    this.#beat();
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  #beat(): void {
    if (this.#heartbeat !== undefined) return;
    this.#heartbeat = setInterval(() => void this.sync(), HEARTBEAT_MS);
    letGo(this.#heartbeat);
  }

  async #add(entry: Entry): Promise<void> {
    this.#entries.push(entry);
    await this.#send(this.#text(entry.event, entry.data));
  }

  async #send(text: string): Promise<void> {
    await Promise.all([...this.#streams].map((stream) => stream.send(text)));
  }

  #text(event: string, data: Readonly<Record<string, unknown>>, position: number = this.#entries.length): string {
    return `event: ${event}\nid: ${position}\ndata: ${JSON.stringify({ as_of: this.#now(), ...data })}\n\n`;
  }
}
