import { once } from "node:events";
import type { Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import express from "express";
import { leave } from "../../../broker/http/leave.ts";
import { createServer } from "../../../broker/http/server.ts";
import { startBounded } from "../../support/bounded-worker.ts";
import { eventually } from "../../support/events.ts";
import { freePort } from "../../support/redis.ts";
import { selfSigned } from "../../support/self-signed.ts";

const LOCALHOST = selfSigned("localhost", { days: 9 });
const AT_ONCE = { lameMs: 50, withinMs: 50, shared: false };

describe("a connection to a listener with TLS of its own", () => {
  let server: Server;
  const opened: Socket[] = [];
  beforeEach(async () => {
    const app = express();
    app.get("/livez", (_request, response) => void response.end("ok"));
    server = createServer(app, LOCALHOST);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterEach(() => {
    for (const socket of opened.splice(0)) socket.destroy();
    server.close();
  });

  const port = (): number => (server.address() as AddressInfo).port;
  async function silent(): Promise<Socket> {
    const socket = connect(port(), "127.0.0.1");
    opened.push(socket);
    socket.on("error", () => undefined).resume();
    await Promise.all([once(socket, "connect"), once(server, "connection")]);
    return socket;
  }
  const count = (): Promise<number> => new Promise((resolve) => server.getConnections((_error, open) => resolve(open)));

  it("that never shakes hands is cut off like any other half request", async () => {
    const socket = await silent();
    const startedAt = performance.now();
    await once(socket, "close");
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    await eventually("the server forgets it", async () => (await count()) === 0);
  }, 20_000);

  it("that speaks something else is cut off at once", async () => {
    const socket = await silent();
    socket.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    await eventually("the server forgets it", async () => (await count()) === 0);
  });

  it("that has said nothing does not hold up a server that leaves, whoever else is there", async () => {
    const talking = connectTls({ port: port(), host: "127.0.0.1", ca: LOCALHOST.cert, servername: "localhost" });
    opened.push(talking);
    await once(talking, "secureConnect");
    await silent();
    expect(await count()).toBe(2);
    await leave(server, AT_ONCE);
    expect(await count()).toBe(0);
  });
});

describe("connections beyond the limit", () => {
  it.each([1, 2])("make room at those that idle, with %d processes behind one listener", async (processes) => {
    const [port, connections] = [await freePort(), 4];
    await using _ = await startBounded(processes, { port, connections });
    const idle: Socket[] = [];
    for (let index = 0; index < processes * connections; index += 1) idle.push((await ask(port)).socket);
    const heard: (string | undefined)[] = [];
    await eventually("each has turned one away, and closed those that idled", async () => {
      const { answer, socket } = await ask(port);
      heard.push(answer);
      socket.destroy();
      return idle.every(({ destroyed }) => destroyed);
    });
    expect(heard).toContain(undefined);
    const { answer, socket } = await ask(port);
    expect(answer).toBe("HTTP/1.1 200 OK");
    socket.destroy();
  });

  /** A connection, and the first line of what it hears to a request: undefined when it is closed without a word, or hears nothing. */
  async function ask(port: number): Promise<{ readonly socket: Socket; readonly answer: string | undefined }> {
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    const answer = new Promise<string | undefined>((resolve) => {
      socket.once("data", (data: Buffer) => resolve(data.toString().split("\r\n")[0]));
      socket.once("close", () => resolve(undefined));
      setTimeout(() => resolve(undefined), 3_000).unref();
    });
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    return { socket, answer: await answer };
  }
});
