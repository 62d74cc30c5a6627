/** Input that no honest feed sends; the connection is given up. */
export class FeedProtocolError extends Error {
  override readonly name: string = "FeedProtocolError";
}

/** A line, at most: a thousand leases are 50,000 characters. */
export const MAX_LINE = 262_144;

/**
 * Cuts chunks of bytes into lines that end in `\n`, `\r\n` or `\r`, wherever the chunks were cut. UTF-8 only; one byte order mark
 * at the beginning is passed over. Throws FeedProtocolError for other bytes and for lines that do not end.
 */
export class LineCutter {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  readonly #maxLine: number;
  #rest: string[] = [];
  #restLength = 0;
  #afterReturn = false;

  constructor(maxLine: number = MAX_LINE) {
    this.#maxLine = maxLine;
  }

  push(chunk: Uint8Array): readonly string[] {
    let text: string;
    try {
      text = this.#decoder.decode(chunk, { stream: true });
    } catch {
      throw new FeedProtocolError("it is not UTF-8");
    }
    const lines: string[] = [];
    let start = 0;
    if (this.#afterReturn && text !== "") {
      // the second half of a \r\n that was cut between chunks
      if (text.charCodeAt(0) === 0x0a) start = 1;
      this.#afterReturn = false;
    }
    for (let end = nextEnd(text, start); end !== -1; end = nextEnd(text, start)) {
      lines.push(this.#finish(text.slice(start, end)));
      start = end + 1;
      if (text.charCodeAt(end) !== 0x0d) continue;
      if (start === text.length) this.#afterReturn = true;
      else if (text.charCodeAt(start) === 0x0a) start++;
    }
    this.#keep(text.slice(start));
    return lines;
  }

  #finish(end: string): string {
    this.#keep(end);
    const line = this.#rest.join("");
    this.#rest = [];
    this.#restLength = 0;
    return line;
  }

  #keep(part: string): void {
    if (part === "") return;
    this.#restLength += part.length;
    if (this.#restLength > this.#maxLine) throw new FeedProtocolError(`a line is longer than ${this.#maxLine} characters`);
    this.#rest.push(part);
  }
}

const ENDS = /[\r\n]/g;
function nextEnd(text: string, from: number): number {
  ENDS.lastIndex = from;
  return ENDS.exec(text)?.index ?? -1;
}
