import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a maker was asked. */
export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}
export type Answer = (asked: Asked, response: ServerResponse) => void | Promise<void>;

/** A maker whose every answer a test gives; `next` is taken once, then `always`. */
export interface MakerServer extends AsyncDisposable {
  readonly url: string;
  readonly asked: Asked[];
  always: Answer;
  readonly next: Answer[];
}

export async function startMaker(always: Answer): Promise<MakerServer> {
  const server = createServer((request, response) => void handle(request, response));
  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const asked: Asked = {
      method: request.method ?? "",
      url: request.url ?? "",
      headers: request.headers,
      text,
      json: text === "" ? {} : (JSON.parse(text) as Asked["json"]),
    };
    maker.asked.push(asked);
    await (maker.next.shift() ?? maker.always)(asked, response);
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const maker: MakerServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: [],
    always,
    next: [],
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
  return maker;
}

/** Answers with JSON. */
export const json =
  (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Answer =>
  (_asked, response) =>
    void response
      .writeHead(status, { "content-type": "application/json", ...headers })
      .end(body === undefined ? undefined : JSON.stringify(body));

/** A good answer to whatever lease is asked for, changed by a test. */
export const made =
  (change: (good: Readonly<Record<string, unknown>>, asked: Asked) => unknown = (good) => good): Answer =>
  (asked, response) => {
    const good = {
      lease_id: asked.json["lease_id"],
      credential: { secret: { name: "password", value: "pw-of-this-test" }, facts: { username: "u" } },
    };
    return json(201, change(good, asked))(asked, response);
  };
