import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { FeedProtocolError, LineCutter } from "../../../client/verify/lines.ts";
import { EventParser, type ServerSentEvent } from "../../../client/verify/sse.ts";

/** The HTML standard's algorithm on the whole text at once. */
function reference(text: string): readonly ServerSentEvent[] {
  const lines = text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .slice(0, -1);
  const events: ServerSentEvent[] = [];
  let [event, id] = ["", ""];
  let data: string[] = [];
  for (const line of lines) {
    if (line === "") {
      if (data.length > 0) events.push({ event: event === "" ? "message" : event, data: data.join("\n"), id });
      [event, data] = ["", []];
      continue;
    }
    const [, name = "", , value = ""] = /^([^:]*)(: ?([^]*))?$/.exec(line) ?? [];
    if (name === "event") event = value;
    if (name === "data") data.push(value);
    if (name === "id" && !value.includes("\0")) id = value;
  }
  return events;
}

function cut(bytes: Uint8Array, cuts: readonly number[]): readonly Uint8Array[] {
  const at = [...new Set(cuts.map((cutAt) => cutAt % (bytes.length + 1)))].toSorted((a, b) => a - b);
  return [0, ...at].map((start, index) => bytes.slice(start, at[index] ?? bytes.length));
}

const piece = fc.oneof(
  fc.constantFrom(
    "event: sync",
    "event:revoked",
    "data: {}",
    "data:x",
    "data",
    "id: 7",
    "id",
    "id: a\0b",
    ": comment",
    "retry: 10",
    "retry: x",
    "",
    "",
    "other: y",
    "data: ä€🙂",
    "data:  two",
    ":",
  ),
  fc.string({ unit: "binary", maxLength: 12 }),
);
const text = fc.array(fc.tuple(piece, fc.constantFrom("\n", "\r\n", "\r")), { maxLength: 40 }).map((lines) => lines.flat().join(""));

describe("the reader of server-sent events", () => {
  it("reads what the standard's algorithm reads, however the bytes are cut", () => {
    fc.assert(
      fc.property(text, fc.boolean(), fc.array(fc.nat(), { maxLength: 30 }), (body, mark, cuts) => {
        const whole = new TextEncoder().encode(`${mark ? "\uFEFF" : ""}${body}\n`);
        // a lone surrogate has no bytes of its own: what was sent is what was encoded
        const sent = new TextDecoder("utf-8", { ignoreBOM: true }).decode(whole);
        const parser = new EventParser();
        expect(cut(whole, cuts).flatMap((chunk) => parser.push(chunk))).toEqual(reference(sent));
      }),
      { numRuns: 1_000 },
    );
  });

  it("does not wait for more when a line ended in a return", () => {
    const parser = new EventParser();
    const push = (part: string): readonly ServerSentEvent[] => parser.push(new TextEncoder().encode(part));
    expect(push("data: a\r\r")).toEqual([{ event: "message", data: "a", id: "" }]);
    expect(push("\ndata: b\n\n")).toEqual([{ event: "message", data: "b", id: "" }]);
  });

  it("takes the server's word for when to come back", () => {
    const parser = new EventParser();
    parser.push(new TextEncoder().encode("retry: 1500\n\nretry: soon\n\n"));
    expect(parser.retryMs).toBe(1500);
  });

  it("refuses lines and events without end, and bytes that are no text", () => {
    const long = new TextEncoder().encode("x".repeat(600));
    const lines = new LineCutter(1_000);
    expect(lines.push(long)).toEqual([]);
    expect(() => lines.push(long)).toThrow(new FeedProtocolError("a line is longer than 1000 characters"));
    const events = new EventParser(1_000);
    const line = new TextEncoder().encode(`data: ${"x".repeat(600)}\n`);
    events.push(line);
    expect(() => events.push(line)).toThrow(new FeedProtocolError("an event is longer than 1000 characters"));
    expect(() => new LineCutter().push(new Uint8Array([0xc3, 0x28]))).toThrow(new FeedProtocolError("it is not UTF-8"));
  });
});
