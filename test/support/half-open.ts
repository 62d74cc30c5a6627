import { fork } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** Half of them stop within their headers, a quarter within the body, and a quarter say nothing at all. */
const HALVES = [
  "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nX-Slow: ",
  "GET /livez HTTP/1.1\r\n",
  "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\ngrant_",
  "",
];

interface Order {
  readonly port: number;
  readonly count: number;
}

/** Opens so many connections that say half a request, from a process of its own: whoever measures beside it is not slowed by it. */
export async function openHalf(order: Order): Promise<Disposable> {
  const child = fork(fileURLToPath(import.meta.url), [], { execArgv: [] });
  child.send(order);
  await once(child, "message");
  return { [Symbol.dispose]: () => void child.kill() };
}

async function open({ port, count }: Order): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => undefined).resume();
    socket.write(HALVES[index % HALVES.length] ?? "");
    if (index % 100 === 99) await pause(20);
  }
}

// Forked by `openHalf`, this file is the client.
if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  const [order] = (await once(process, "message")) as [Order];
  await open(order);
  process.send("open");
}
