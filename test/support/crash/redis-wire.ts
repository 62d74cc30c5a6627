import { connect, createServer, type Socket } from "node:net";
import { once } from "node:events";
import { feedChannel } from "../../../store/feed-channel.ts";
import { loadScripts } from "../../../store/load-scripts.ts";
import type { ScriptName } from "../../../store/scripts.ts";
import { Redis } from "ioredis";
import type { TestRedis } from "../redis.ts";

/** The wire between one broker and Redis, on which a script's answer can be lost or the script can arrive twice. */
export interface RedisWire extends AsyncDisposable {
  readonly redis: TestRedis;
  /** The next call of the script has its effect; its answer is lost with the connection. */
  loseReply(script: ScriptName): Promise<void>;
  /** The next call of the script reaches Redis twice. */
  twice(script: ScriptName): Promise<void>;
}

interface Plan {
  readonly script: ScriptName;
  readonly how: "lose" | "twice";
  readonly reached: () => void;
}

export async function startRedisWire(redis: TestRedis): Promise<RedisWire> {
  const to = Number(new URL(redis.url).port);
  const names = await scriptNames(redis);
  const sockets = new Set<Socket>();
  let plans: Plan[] = [];
  const plan = (script: ScriptName, how: Plan["how"]): Promise<void> => new Promise((reached) => void plans.push({ script, how, reached }));

  const server = createServer((near) => {
    const far = connect(to, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    far.on("data", (bytes) => near.write(bytes));
    let before = Buffer.alloc(0);
    let turn = Promise.resolve();
    const pass = async (command: Buffer): Promise<void> => {
      const name = names.get(/\$40\r\n([0-9a-f]{40})\r\n/.exec(command.toString("latin1", 0, 120))?.[1] ?? "");
      const found = plans.find(({ script }) => script === name);
      if (found === undefined) return void far.write(command);
      plans = plans.filter((each) => each !== found);
      await alone(to, command);
      if (found.how === "lose") near.destroy();
      else far.write(command);
      found.reached();
    };
    near.on("data", (bytes) => {
      before = Buffer.concat([before, bytes]);
      for (let length = lengthOf(before); length !== undefined; length = lengthOf(before)) {
        const command = before.subarray(0, length);
        before = before.subarray(length);
        turn = turn.then(() => pass(command));
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const url = new URL(redis.url);
  url.port = String(address.port);
  return {
    redis: { ...redis, url: url.href },
    loseReply: (script) => plan(script, "lose"),
    twice: (script) => plan(script, "twice"),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Scripts by the hash they are called by. */
async function scriptNames(redis: TestRedis): Promise<ReadonlyMap<string, ScriptName>> {
  const client = new Redis(redis.options);
  const scripts = loadScripts(feedChannel(client));
  client.disconnect();
  return new Map([...scripts].map(([name, { sha1 }]) => [sha1, name]));
}

/** Sends one command over a connection of its own and waits for the first of its answer: then it has been done. */
async function alone(port: number, command: Buffer): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.write(command);
  await once(socket, "data");
  socket.destroy();
}

/** Length of the first whole command: an array of bulk strings. */
function lengthOf(bytes: Buffer): number | undefined {
  let at = bytes.indexOf("\r\n");
  if (at < 0) return undefined;
  let left = Number(bytes.toString("latin1", 1, at));
  at += 2;
  for (; left > 0; left -= 1) {
    const end = bytes.indexOf("\r\n", at);
    if (end < 0) return undefined;
    at = end + 2 + Number(bytes.toString("latin1", at + 1, end)) + 2;
    if (bytes.length < at) return undefined;
  }
  return at;
}
