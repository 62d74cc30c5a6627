import { connect, type Socket } from "node:net";

/** What the floor of the feed listens to. */
export const FLOOR_CHANNEL = "floor:feed";

/** As much as comes at once; a feed's words are a few hundred bytes. */
const CHUNK_BYTES = 16_384;

/** A verifier's connection that looks for a text in what comes, and does nothing else: thousands fit into one process. */
export class Listener {
  readonly #socket: Socket;
  #wanted: { readonly text: string; readonly done: (at: number) => void } | undefined;
  #tail = "";

  private constructor(port: number) {
    // One buffer for all that this connection reads: what is measured is the server, not this process's garbage.
    const onread = { buffer: Buffer.allocUnsafe(CHUNK_BYTES), callback: (length: number, chunk: Uint8Array) => this.#take(length, chunk) };
    this.#socket = connect({ host: "127.0.0.1", port, noDelay: true, onread });
  }

  /** Resolves with the first heartbeat. */
  static open(port: number, authorization: string, instance: string): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const listener = new Listener(port);
      const socket = listener.#socket;
      socket.once("error", reject);
      socket.once("connect", () => {
        void listener.hear("event: sync").then(() => resolve(listener));
        socket.write(`GET /v1/feed?instance=${instance} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ${authorization}\r\n\r\n`);
      });
    });
  }

  /** When the text has come, by `performance.now`. */
  hear(text: string): Promise<number> {
    return new Promise((done) => (this.#wanted = { text, done }));
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(length: number, chunk: Uint8Array): boolean {
    if (this.#wanted === undefined) return true;
    const { text, done } = this.#wanted;
    const seen = this.#tail + Buffer.from(chunk.buffer, chunk.byteOffset, length).toString("latin1");
    this.#tail = seen.slice(-text.length);
    if (!seen.includes(text)) return true;
    this.#wanted = undefined;
    this.#tail = "";
    done(performance.now());
    return true;
  }
}
