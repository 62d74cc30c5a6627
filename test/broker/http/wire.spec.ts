import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { startHttp, type TestHttp } from "../../support/http.ts";
import { OPERATORS } from "../../support/memory-services.ts";

let http: TestHttp;
beforeAll(async () => {
  http = await startHttp();
});
afterAll(() => http.close());

const FORM = "Content-Type: application/x-www-form-urlencoded\r\n";
const AUTH = `Authorization: Bearer ${OPERATORS.viewer}\r\n`;
const answers = (text: string): number => text.split(/HTTP\/1\.1 \d{3}/).length - 1;
const status = (text: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);

describe("a request that two readers could read differently", () => {
  const smuggled = "GET /v1/leases HTTP/1.1\r\nHost: x\r\n\r\n";
  const post = (headers: string, body: string): string => `POST /oauth2/revoke HTTP/1.1\r\nHost: x\r\n${headers}\r\n${body}`;
  it.each([
    {
      name: "Content-Length and Transfer-Encoding",
      bytes: post(`${FORM}Content-Length: 7\r\nTransfer-Encoding: chunked\r\n`, `0\r\n\r\n${smuggled}`),
    },
    {
      name: "Transfer-Encoding with a space before the colon",
      bytes: post(`${FORM}Transfer-Encoding : chunked\r\n`, `0\r\n\r\n${smuggled}`),
    },
    { name: "Transfer-Encoding of another kind", bytes: post(`${FORM}Transfer-Encoding: xchunked\r\n`, `0\r\n\r\n${smuggled}`) },
    { name: "two Content-Lengths", bytes: post(`${FORM}Content-Length: 7\r\nContent-Length: 8\r\n`, `token=x${smuggled}`) },
    { name: "a Content-Length with a sign", bytes: post(`${FORM}Content-Length: +7\r\n`, `token=x${smuggled}`) },
    { name: "lines that end in LF only", bytes: `POST /oauth2/revoke HTTP/1.1\nHost: x\nContent-Length: 7\n\ntoken=x` },
    { name: "a folded header", bytes: post(`${FORM}X-A: b\r\n c\r\nContent-Length: 7\r\n`, "token=x") },
    { name: "a NUL in a header", bytes: post(`${FORM}X-A: b\0c\r\nContent-Length: 7\r\n`, "token=x") },
    { name: "a bad chunk size", bytes: post(`${FORM}Transfer-Encoding: chunked\r\n`, `zz\r\ntoken=x\r\n0\r\n\r\n${smuggled}`) },
    { name: "an absolute target", bytes: `GET http://evil.example/livez HTTP/1.1\r\nHost: x\r\n\r\n` },
    { name: "a target without a slash", bytes: "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n" },
    { name: "a target of two slashes", bytes: "GET //evil.example/livez HTTP/1.1\r\nHost: x\r\n\r\n" },
    { name: "two Authorization headers", bytes: `GET /v1/leases HTTP/1.1\r\nHost: x\r\n${AUTH}authorization: Bearer other\r\n\r\n` },
    { name: "two Content-Types", bytes: post(`${FORM}content-type: application/json\r\nContent-Length: 7\r\n`, "token=x") },
    { name: "two Hosts", bytes: `GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n` },
    { name: "no Host", bytes: "GET /livez HTTP/1.1\r\n\r\n" },
    { name: "two idempotency keys", bytes: post(`${FORM}Idempotency-Key: a\r\nidempotency-key: b\r\nContent-Length: 7\r\n`, "token=x") },
    { name: "200 headers", bytes: `GET /livez HTTP/1.1\r\nHost: x\r\n${"X-A: b\r\n".repeat(200)}\r\n` },
    { name: "no HTTP at all", bytes: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" },
  ])("is refused once: $name", async ({ bytes }) => {
    const text = await http.raw(Buffer.from(bytes, "latin1"));
    expect(status(text)).toBe(400);
    expect(answers(text)).toBe(1);
    expect(text).not.toContain("200 OK");
    if (text.includes("\r\n\r\n{")) expect(JSON.parse(text.slice(text.indexOf("\r\n\r\n") + 4))).toMatchObject({ code: "invalid_request" });
  });

  it("is refused as too large when its headers are: 431", async () => {
    const text = await http.raw(`GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ${"b".repeat(40_000)}\r\n\r\n`);
    expect(status(text)).toBe(431);
  });

  it("is served when it is well made, with a token of 16 KiB", async () => {
    const text = await http.raw(`GET /v1/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a.b.${"c".repeat(16_380)}\r\n\r\n`);
    expect(status(text)).toBe(401);
    expect(text).toContain("invalid_identity");
  });
});

describe("a body that is too large", () => {
  it("is refused by its declared length before it is read", async () => {
    const text = await http.raw(
      "POST /oauth2/revoke HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10000000\r\n\r\ntoken=",
    );
    expect(status(text)).toBe(413);
    expect(text).toContain('"error":"invalid_request"');
    expect(text).toContain('"code":"payload_too_large"');
  });

  it("is refused at the byte too many when it is chunked, and the caller gets the answer", async () => {
    const body = new ReadableStream({
      start(controller) {
        for (let chunk = 0; chunk < 40; chunk++) controller.enqueue(Buffer.alloc(16_384, "a"));
        controller.close();
      },
    });
    const response = await fetch(`${http.url}/v1/locks`, {
      method: "POST",
      body,
      duplex: "half",
      headers: { "content-type": "application/json", authorization: `Bearer ${OPERATORS.admin}` },
    });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([413, "payload_too_large"]);
  });

  it("of 10 MB still gets its answer, and the next request its own", async () => {
    const big = await http.form("/oauth2/revoke", `token=${"x".repeat(10_000_000)}`);
    expect(big.status).toBe(413);
    await big.text();
    expect((await http.form("/oauth2/revoke", { token: "x" })).status).toBe(200);
  });

  it("of exactly 64 KiB is read", async () => {
    const response = await http.form("/oauth2/revoke", `token=x&pad=${"a".repeat(65_536 - 12)}`);
    expect(response.status).toBe(200);
  });

  it("that is not UTF-8, or is compressed, is refused", async () => {
    const latin1 = await http.fetch("/oauth2/revoke", {
      method: "POST",
      body: Buffer.from("token=\xff", "latin1"),
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
    expect([latin1.status, ((await latin1.json()) as { error_description: string }).error_description]).toEqual([
      400,
      "the body is not UTF-8",
    ]);
    const gzip = await http.form("/oauth2/revoke", { token: "x" }, { "content-encoding": "gzip" });
    expect([gzip.status, ((await gzip.json()) as { error: string }).error]).toEqual([400, "invalid_request"]);
  });
});

describe("a caller who goes away", () => {
  it("in the middle of a body disturbs nobody", async () => {
    await http.raw(
      "POST /oauth2/revoke HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ntoken=",
      30,
    );
    expect((await http.fetch("/livez")).status).toBe(200);
  });
});
