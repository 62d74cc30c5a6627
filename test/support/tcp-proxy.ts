import { createServer, connect, type Socket } from "node:net";
import { once } from "node:events";

/** A wire between a client and a server that can misbehave. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Lets the next request through, swallows its reply and cuts the connection: the effect happened, nobody heard of it. */
  loseNextReply(): void;
  /** The same with every n-th reply, until it is told 0. */
  loseEvery(n: number): void;
  /** Replies lost so far. */
  lost(): number;
  /** What comes back is what this makes of it. */
  rewrite(change: (bytes: Buffer) => Buffer): void;
  /** Adds this many milliseconds to every reply. */
  delay(ms: number): void;
  /** Cuts every connection now. */
  cut(): void;
}

/** Listens on a free loopback port and passes bytes on to `target` (a unix socket's path, or a loopback port). */
export async function startTcpProxy(target: { path: string } | { port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let losing = false;
  let delayMs = 0;
  let every = 0;
  let [replies, lost] = [0, 0];
  let change = (bytes: Buffer): Buffer => bytes;
  const server = createServer((near) => {
    const far = connect(target);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined); // either side may vanish: that is what this is for
      socket.on("close", () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.on("data", (bytes) => far.write(bytes));
    far.on("data", (said: Buffer) => {
      const bytes = change(said);
      replies += 1;
      if (losing || (every > 0 && replies % every === 0)) {
        losing = false;
        lost += 1;
        near.destroy();
      } else if (delayMs > 0) setTimeout(() => near.write(bytes), delayMs);
      else near.write(bytes);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const cut = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    port: address.port,
    loseNextReply: () => {
      losing = true;
    },
    loseEvery: (n) => {
      every = n;
    },
    lost: () => lost,
    rewrite: (made) => {
      change = made;
    },
    delay: (ms) => {
      delayMs = ms;
    },
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await once(server, "close");
    },
  };
}
