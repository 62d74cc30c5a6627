import { describe, expect, it } from "@jest/globals";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setFlagsFromString } from "node:v8";
import { createApp, createServer } from "../../../broker/app.ts";
import { fakeClock } from "../../support/clock.ts";
import { memoryServices } from "../../support/memory-services.ts";

/** Whether V8 keeps an object's members at fixed places, and not in a dictionary. It tells only programs that ask in its own syntax. */
function isQuick(object: object): boolean {
  setFlagsFromString("--allow-natives-syntax");
  // eslint-disable-next-line @typescript-eslint/no-implied-eval, no-new-func -- the syntax is none that a file may hold
  const ask = new Function("object", "return %HasFastProperties(object)") as (object: object) => boolean;
  setFlagsFromString("--no-allow-natives-syntax");
  return ask(object);
}

describe("requests and responses of the app", () => {
  it("are objects that V8 is quick with, from the first look at them to the answer", async () => {
    const clock = fakeClock();
    const app = createApp(memoryServices(clock), { clock, version: "0.0.0", trustedProxies: [], served: () => undefined });
    const server = createServer(app);
    const seen: (readonly [IncomingMessage, ServerResponse])[] = [];
    server.on("request", (request: IncomingMessage, response: ServerResponse) => void seen.push([request, response]));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/oauth2/token`;
    for (let count = 0; count < 50; count += 1)
      await (await fetch(url, { method: "POST", body: new URLSearchParams({ grant_type: "x" }) })).text();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(seen).toHaveLength(50);
    for (const [request, response] of seen.slice(-10)) expect([isQuick(request), isQuick(response)]).toEqual([true, true]);
  });
});
