import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import type { Oracle } from "../../../client/verify-proxy/answer.ts";
import { createProxyServer } from "../../../client/verify-proxy/server.ts";
import { eventually } from "../../support/events.ts";

/** Questions that nobody has answered yet. */
const waiting: (() => void)[] = [];
const verifier = { verify: () => new Promise((_, reject) => void waiting.push(() => reject(new Error("no more")))) };
const { server } = createProxyServer({
  oracle: () => ({ verifier }) as unknown as Oracle,
  state: () => undefined,
  failed: () => undefined,
});
const port = (): number => (server.address() as AddressInfo).port;
beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening");
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const HEADERS = { authorization: "Bearer x", "x-original-method": "GET", "x-original-uri": "/a" };
const ask = (): Promise<Response> => fetch(`http://127.0.0.1:${port()}/authz/nginx`, { headers: HEADERS });

describe("a thousand questions at once", () => {
  it("are the most: one more is turned away at once, and there is room again when they are answered", async () => {
    const lines = ["GET /authz/nginx HTTP/1.1", "host: x", ...Object.entries(HEADERS).map((pair) => pair.join(": "))];
    const one = `${lines.join("\r\n")}\r\n\r\n`;
    const client = connect(port(), "127.0.0.1", () => client.write(one.repeat(1_000)));
    await eventually("a thousand wait", () => waiting.length === 1_000);
    const late = await ask();
    expect([late.status, late.headers.get("x-stint-error"), late.headers.get("retry-after")]).toEqual([403, "overloaded", "1"]); // nginx passes no other refusal on
    for (const answer of waiting.splice(0)) answer();
    await once(client, "data");
    const next = ask();
    await eventually("the next one waits", () => waiting.length === 1);
    for (const answer of waiting.splice(0)) answer();
    expect((await next).headers.get("x-stint-error")).not.toBe("overloaded");
    client.destroy();
  });
});
