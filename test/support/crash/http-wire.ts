import { request } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { once } from "node:events";

/** What a client heard: an answer, or that the connection broke before there was a whole one. */
export type Heard = { readonly status: number; readonly body: Readonly<Record<string, unknown>> } | { readonly status: "broken" };

/** Asks over a connection of its own. */
export function post(
  url: string,
  body: Readonly<Record<string, unknown>> | URLSearchParams,
  headers: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<Heard> {
  const text = body instanceof URLSearchParams ? body.toString() : JSON.stringify(body);
  const type = body instanceof URLSearchParams ? "application/x-www-form-urlencoded" : "application/json";
  return new Promise((resolve) => {
    const broken = (): void => resolve({ status: "broken" });
    const asked = request(url, { method: "POST", agent: false, headers: { "content-type": type, ...headers }, ...(signal && { signal }) });
    asked.on("error", broken);
    asked.on("response", (response) => {
      let said = "";
      response.setEncoding("utf8").on("data", (piece: string) => (said += piece));
      response.on("error", broken);
      response.on("close", () =>
        response.complete
          ? resolve({ status: response.statusCode ?? 0, body: JSON.parse(said === "" ? "{}" : said) as Readonly<Record<string, unknown>> })
          : broken(),
      );
    });
    asked.end(text);
  });
}

/** An answer of the broker's that is held on its way. */
export interface HeldAnswer {
  readonly reached: Promise<void>;
  /** The rest arrives. */
  deliver(): void;
  /** Nothing more arrives. */
  cut(): void;
}

/** The wire between a client and one broker. */
export interface HttpWire extends AsyncDisposable {
  readonly url: string;
  /** The next answer is held: before its first byte, or in its middle. */
  hold(at: "start" | "half"): HeldAnswer;
}

export async function startHttpWire(port: number): Promise<HttpWire> {
  const sockets = new Set<Socket>();
  let plan: ((bytes: Buffer, near: Socket) => Promise<void>) | undefined;
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    let turn = Promise.resolve();
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        void turn.then(() => [near, far].forEach((each) => each.destroy()));
      });
    }
    near.on("data", (bytes) => far.write(bytes));
    far.on("data", (bytes) => {
      const held = plan;
      plan = undefined;
      turn = turn.then(() => (held === undefined ? void near.write(bytes) : held(bytes, near)));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    hold(at) {
      let arrived: () => void = () => undefined;
      let letGo: (how: "deliver" | "cut") => void = () => undefined;
      const reached = new Promise<void>((resolve) => (arrived = resolve));
      const gate = new Promise<"deliver" | "cut">((resolve) => (letGo = resolve));
      plan = async (bytes, near) => {
        const first = at === "half" ? Math.floor(bytes.length / 2) : 0;
        if (first > 0) near.write(bytes.subarray(0, first));
        arrived();
        if ((await gate) === "deliver") near.write(bytes.subarray(first));
        else near.destroy();
      };
      return { reached, deliver: () => letGo("deliver"), cut: () => letGo("cut") };
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
