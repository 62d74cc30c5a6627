import { type AddressInfo, connect } from "node:net";
import { describe, expect, it } from "@jest/globals";
import { createMetricsApp, createServer, requestLog } from "../../../broker/app.ts";
import type { Readiness } from "../../../broker/services.ts";
import { fakeClock } from "../../support/clock.ts";
import { eventually } from "../../support/events.ts";
import { startHttp } from "../../support/http.ts";
import { memoryServices } from "../../support/memory-services.ts";

const unready: Readiness = {
  ready: false,
  checks: [
    { name: "redis", status: "fail", detail: "no answer" },
    { name: "aof", status: "warn", detail: "appendonly is off" },
  ],
};

describe("health", () => {
  it("answers alive whatever else is wrong", async () => {
    await using http = await startHttp({ readiness: () => unready });
    for (const path of ["/livez", "/healthz", "/livez?verbose"]) {
      const response = await http.fetch(path);
      expect([response.status, await response.text(), response.headers.get("content-type")]).toEqual([
        200,
        "ok\n",
        "text/plain; charset=utf-8",
      ]);
    }
  });

  it("names every check when ready, and what fails when not", async () => {
    await using ready = await startHttp();
    expect((await ready.fetch("/readyz")).status).toBe(200);
    await using http = await startHttp({ readiness: () => unready });
    const response = await http.fetch("/readyz");
    expect([response.status, response.headers.get("retry-after"), await response.json()]).toEqual([503, "5", unready]);
  });
});

describe("metrics", () => {
  it("are served by their own app with the type that the scrape says", async () => {
    const app = createMetricsApp(
      memoryServices(fakeClock()),
      { clock: fakeClock(), version: "0", trustedProxies: [], served: () => undefined },
      async () => ({ contentType: "application/openmetrics-text; version=1.0.0; charset=utf-8", text: "# EOF\n" }),
    );
    const server = createServer(app);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const response = await fetch(`${url}/metrics`);
      expect([response.status, response.headers.get("content-type"), await response.text()]).toEqual([
        200,
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "# EOF\n",
      ]);
      expect((await fetch(`${url}/v1/leases`)).status).toBe(404);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it("and the log are told of each request by its route's template, once, and never of tokens or paths", async () => {
    const lines: { level: string; fields: object; message: string }[] = [];
    const observed: object[] = [];
    const log = requestLog(
      {
        info: (fields, message) => void lines.push({ level: "info", fields, message }),
        error: (fields, message) => void lines.push({ level: "error", fields, message }),
      },
      (request) => void observed.push(request),
    );
    await using http = await startHttp({ tokens: { revoke: () => Promise.reject(new Error("boom")) } }, { served: log });
    await http.fetch("/v1/tasks/task_secret-path?x=secret-query", { headers: { authorization: "Bearer secret.task.token" } });
    await http.fetch("/livez");
    await http.form("/oauth2/revoke", { token: "secret-token" });
    expect(observed).toEqual([
      { method: "GET", route: "/v1/tasks/{id}", status: 400, seconds: expect.any(Number), code: "invalid_request" },
      { method: "GET", route: "/livez", status: 200, seconds: expect.any(Number), code: undefined },
      { method: "POST", route: "/oauth2/revoke", status: 500, seconds: expect.any(Number), code: "server_error" },
    ]);
    expect(lines.map(({ level, message }) => [level, message])).toEqual([
      ["info", "request served"],
      ["error", "request failed"],
    ]);
    expect(lines[1]?.fields).toMatchObject({
      route: "/oauth2/revoke",
      status: 500,
      err: new Error("boom"),
      trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    expect(JSON.stringify(lines)).not.toContain("secret");
  });
});

describe("the server", () => {
  it("gives up on half a request within fifteen seconds", () => {
    const server = createServer(
      createMetricsApp(
        memoryServices(fakeClock()),
        { clock: fakeClock(), version: "0", trustedProxies: [], served: () => undefined },
        async () => ({ contentType: "", text: "" }),
      ),
    );
    const checkEveryMs = 2_000;
    expect(server.headersTimeout + checkEveryMs).toBeLessThanOrEqual(15_000);
    expect(server.requestTimeout + checkEveryMs).toBeLessThanOrEqual(15_000);
    server.close();
  });

  it("ends a connection with its next answer once it has stopped listening", async () => {
    const app = createMetricsApp(
      memoryServices(fakeClock()),
      { clock: fakeClock(), version: "0", trustedProxies: [], served: () => undefined },
      async () => ({ contentType: "text/plain", text: "" }),
    );
    const server = createServer(app);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    const ended = new Promise((resolve) => socket.once("end", resolve));
    socket.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n");
    await eventually("the first answer", () => text.includes("ok\n"));
    expect(text).toContain("Connection: keep-alive");
    const closed = new Promise((resolve) => server.close(resolve));
    socket.write("\r\n");
    await Promise.all([ended, closed]);
    expect(text.match(/Connection: close/g)).toHaveLength(1);
  });

  it("says Strict-Transport-Security where its URL is https, and only there", async () => {
    await using secure = await startHttp({ url: "https://stint.example" });
    expect((await secure.fetch("/livez")).headers.get("strict-transport-security")).toBe("max-age=31536000; includeSubDomains");
    await using plain = await startHttp();
    expect((await plain.fetch("/livez")).headers.get("strict-transport-security")).toBeNull();
  });
});
