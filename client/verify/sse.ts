import { FeedProtocolError, LineCutter, MAX_LINE } from "./lines.ts";

/** One event of a `text/event-stream`. */
export interface ServerSentEvent {
  /** `message` where it has no name. */
  readonly event: string;
  readonly data: string;
  /** The id that counts after it: its own, or that of an event before. */
  readonly id: string;
}

/**
 * Reads server-sent events by the letter of the HTML standard (section 9.2.6), however the bytes are cut. Bounded: a line and an
 * event's data may hold 262,144 characters each. Throws FeedProtocolError beyond that.
 */
export class EventParser {
  readonly #lines: LineCutter;
  readonly #maxData: number;
  #event = "";
  #data: string[] = [];
  #dataLength = 0;
  #id = "";
  #retryMs: number | undefined;

  constructor(maxLine: number = MAX_LINE) {
    this.#lines = new LineCutter(maxLine);
    this.#maxData = maxLine;
  }

  /** What the server last asked readers to wait before they come back. */
  get retryMs(): number | undefined {
    return this.#retryMs;
  }

  push(chunk: Uint8Array): readonly ServerSentEvent[] {
    const events: ServerSentEvent[] = [];
    for (const line of this.#lines.push(chunk)) {
      if (line !== "") this.#field(line);
      else {
        if (this.#data.length > 0) events.push({ event: this.#event || "message", data: this.#data.join("\n"), id: this.#id });
        this.#event = "";
        this.#data = [];
        this.#dataLength = 0;
      }
    }
    return events;
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const name = colon === -1 ? line : line.slice(0, colon);
    const from = colon + (line.charCodeAt(colon + 1) === 0x20 ? 2 : 1);
    const value = colon === -1 ? "" : line.slice(from);
    if (name === "event") this.#event = value;
    else if (name === "data") {
      this.#dataLength += value.length + 1;
      if (this.#dataLength > this.#maxData) throw new FeedProtocolError(`an event is longer than ${this.#maxData} characters`);
      this.#data.push(value);
    } else if (name === "id") {
      if (!value.includes("\0")) this.#id = value;
    } else if (name === "retry" && /^\d{1,9}$/.test(value)) this.#retryMs = Number(value);
  }
}
