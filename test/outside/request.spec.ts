import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "@jest/globals";
import { type OutsideRequest, type Reach, requestOutside } from "../../outside/request.ts";

const LOOPBACK: Reach = { privateNetwork: false, insecureHttp: true };
const ASK: OutsideRequest = { method: "GET", timeoutMs: 2_000, maxBytes: 1_000 };

async function serve(
  listener: (...args: Parameters<RequestListener>) => void | Promise<void>,
): Promise<AsyncDisposable & { readonly url: string; readonly server: Server }> {
  const server = createServer((request, response) => void listener(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    server,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text;
}

describe("a request to the outside", () => {
  it("carries its method, headers and body, and brings back any status with its words", async () => {
    await using server = await serve(async (request, response) => {
      const seen = [request.method, request.headers["x-color"], request.headers["content-length"], await textOf(request)];
      response.writeHead(422, { "x-answer": "yes" }).end(JSON.stringify(seen));
    });
    const answer = await requestOutside(`${server.url}/a?b=c`, LOOPBACK, {
      ...ASK,
      method: "POST",
      headers: { "x-color": "blue" },
      body: '{"é":1}',
    });
    expect(answer).toMatchObject({ status: 422, headers: { "x-answer": "yes" } });
    expect(JSON.parse(answer.body)).toEqual(["POST", "blue", "8", '{"é":1}']);
  });

  it("does not follow a redirect, whatever it says", async () => {
    let calls = 0;
    await using server = await serve((_request, response) => {
      calls += 1;
      response.writeHead(307, { location: "/elsewhere" }).end("x".repeat(5_000));
    });
    expect(await requestOutside(server.url, LOOPBACK, { ...ASK, method: "POST", body: "{}" })).toMatchObject({ status: 307, body: "" });
    expect(calls).toBe(1);
  });

  it("tells whether anything of it can have arrived", async () => {
    await using server = await serve((request) => void request.socket.destroy());
    await expect(requestOutside(server.url, LOOPBACK, ASK)).rejects.toMatchObject({ message: "failed: ECONNRESET", sent: true });
    const closed = await serve(() => undefined);
    await closed[Symbol.asyncDispose]();
    await expect(requestOutside(closed.url, LOOPBACK, ASK)).rejects.toMatchObject({ message: "failed: ECONNREFUSED", sent: false });
    await expect(requestOutside("http://10.0.0.1/", LOOPBACK, ASK)).rejects.toMatchObject({ sent: false });
  });

  it("ends when its caller gives up, before and after it was sent", async () => {
    await using server = await serve(() => undefined);
    await expect(requestOutside(server.url, LOOPBACK, { ...ASK, signal: AbortSignal.abort() })).rejects.toMatchObject({ sent: false });
    const caller = new AbortController();
    server.server.once("request", () => caller.abort());
    await expect(requestOutside(server.url, LOOPBACK, { ...ASK, signal: caller.signal })).rejects.toMatchObject({
      message: "took too long",
      sent: true,
    });
  });

  it("takes no more than it was told to, even of an error", async () => {
    await using server = await serve((_request, response) => void response.writeHead(500).end("x".repeat(1_001)));
    await expect(requestOutside(server.url, LOOPBACK, ASK)).rejects.toThrow("answered with too much");
  });
});
