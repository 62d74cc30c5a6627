import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createHash, X509Certificate } from "node:crypto";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { decodeJwt } from "jose";
import { createApp, createServer } from "../../../broker/app.ts";
import { systemClock } from "../../../domain/time.ts";
import { TOKEN_EXCHANGE, TOKEN_TYPES } from "../../../domain/wire.ts";
import { selfSigned } from "../../support/self-signed.ts";
import { openShop, type Shop } from "../../support/shop.ts";

const server = selfSigned("127.0.0.1", { days: 2 });
const [mine, others, strange] = [1, 2, 3].map((number) => selfSigned(`client-${number}.test`, { days: 2 })) as [Pem, Pem, Pem];
type Pem = ReturnType<typeof selfSigned>;
const der = (pem: Pem): Buffer => new X509Certificate(pem.cert).raw;
const thumbprint = (pem: Pem): string => createHash("sha256").update(der(pem)).digest("base64url");

interface Asked {
  readonly client?: Pem;
  readonly headers?: Readonly<Record<string, string>>;
}
interface Answered {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

let shop: Shop;
let tlsPort: number;
let proxiedPort: number;
let openPort: number;
const closing: (() => void)[] = [];

async function serve(trustedProxies: readonly string[], tls: boolean): Promise<number> {
  const app = createApp(shop.broker.services, {
    clock: systemClock,
    version: "0.0.0",
    trustedProxies,
    asksForCertificates: tls,
    served: () => undefined,
  });
  const listener = createServer(app, tls ? { ...server, clientCa: mine.cert + others.cert } : undefined);
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  closing.push(() => (listener.closeAllConnections(), listener.close()));
  return (listener.address() as AddressInfo).port;
}

beforeAll(async () => {
  shop = await openShop();
  tlsPort = await serve([], true);
  proxiedPort = await serve(["127.0.0.1"], false);
  openPort = await serve([], false);
});
afterAll(async () => {
  for (const close of closing) close();
  await shop[Symbol.asyncDispose]();
});

function send(port: number, method: string, path: string, body: string, { client, headers = {} }: Asked): Promise<Answered> {
  const options = {
    host: "127.0.0.1",
    port,
    method,
    path,
    headers: { ...headers, "content-length": Buffer.byteLength(body) },
    agent: false,
  };
  return new Promise((resolve, reject) => {
    const read = (response: IncomingMessage): void => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> }));
    };
    const sent = port === tlsPort ? httpsRequest({ ...options, ca: server.cert, ...client }, read) : httpRequest(options, read);
    sent.on("error", reject).end(body);
  });
}

async function exchange(port: number, asked: Asked, form: Record<string, string> = { bind: "certificate" }): Promise<Answered> {
  const subject_token = (await shop.evidence()).reveal();
  const fields = { grant_type: TOKEN_EXCHANGE, subject_token_type: TOKEN_TYPES.jwt, scope: "grant:deploy", subject_token, ...form };
  const headers = { ...asked.headers, "content-type": "application/x-www-form-urlencoded" };
  return send(port, "POST", "/oauth2/token", new URLSearchParams(fields).toString(), { ...asked, headers });
}
const heartbeat = (port: number, task: Answered, asked: Asked): Promise<Answered> =>
  send(port, "POST", `/v1/tasks/${String(task.body["task_id"])}/heartbeat`, "{}", {
    ...asked,
    headers: { ...asked.headers, authorization: `Bearer ${String(task.body["task_token"])}`, "content-type": "application/json" },
  });
const cnf = (answer: Answered, member = "access_token"): unknown => decodeJwt(String(answer.body[member]))["cnf"];

describe("a client certificate on our own TLS", () => {
  it("binds what is asked to be bound to it, and is needed again with the task token", async () => {
    const issued = await exchange(tlsPort, { client: mine });
    const bound = { "x5t#S256": thumbprint(mine) };
    expect([issued.status, issued.body["token_type"], cnf(issued), cnf(issued, "task_token")]).toEqual([200, "Bearer", bound, bound]);
    expect((await heartbeat(tlsPort, issued, { client: mine })).status).toBe(200);
    for (const client of [others, strange, undefined]) {
      const refused = await heartbeat(tlsPort, issued, client === undefined ? {} : { client });
      expect([refused.status, refused.body["code"]]).toEqual([401, "binding_mismatch"]);
    }
  });

  it("binds nothing that does not ask", async () => {
    const issued = await exchange(tlsPort, { client: mine }, {});
    expect([issued.status, cnf(issued), cnf(issued, "task_token")]).toEqual([200, undefined, undefined]);
  });

  it("binds a task that is opened with it", async () => {
    const opened = await send(tlsPort, "POST", "/v1/tasks", '{"bind":"certificate"}', {
      client: mine,
      headers: { authorization: `Bearer ${(await shop.evidence()).reveal()}`, "content-type": "application/json" },
    });
    expect([opened.status, cnf(opened, "task_token")]).toEqual([201, { "x5t#S256": thumbprint(mine) }]);
  });

  it.each([
    { name: "none", client: undefined },
    { name: "one that our CA did not sign", client: strange },
  ])("is needed to be bound to it: $name", async ({ client }) => {
    const refused = await exchange(tlsPort, client === undefined ? {} : { client });
    expect([refused.status, refused.body["error"]]).toEqual([400, "invalid_request"]);
    expect(refused.body["error_description"]).toContain("bind=certificate needs a client certificate");
  });
});

describe("a client certificate that a proxy saw", () => {
  const standard = (pem: Pem): Record<string, string> => ({ "client-cert": `:${der(pem).toString("base64")}:` });
  const envoy = (pem: Pem): Record<string, string> => ({
    "x-forwarded-client-cert": `By=spiffe://a/b;Hash=${createHash("sha256").update(der(pem)).digest("hex")};Subject="CN=x, O=\\"y\\"";URI=`,
  });

  it.each([
    { name: "by Client-Cert (RFC 9440)", headers: standard },
    { name: "by Envoy's header", headers: envoy },
  ])("binds when the proxy is trusted: $name", async ({ headers }) => {
    const issued = await exchange(proxiedPort, { headers: headers(mine) });
    expect([issued.status, cnf(issued)]).toEqual([200, { "x5t#S256": thumbprint(mine) }]);
    expect((await heartbeat(proxiedPort, issued, { headers: standard(mine) })).status).toBe(200);
    expect((await heartbeat(proxiedPort, issued, { headers: headers(others) })).status).toBe(401);
  });

  it.each([
    { name: "both headers", headers: { ...standard(mine), ...envoy(mine) } },
    { name: "two certificates in Envoy's", headers: { "x-forwarded-client-cert": `Hash=${"a".repeat(64)},Hash=${"b".repeat(64)}` } },
    { name: "two hashes", headers: { "x-forwarded-client-cert": `Hash=${"a".repeat(64)};Hash=${"b".repeat(64)}` } },
    { name: "a hash inside a quoted value", headers: { "x-forwarded-client-cert": `Subject=";Hash=${"a".repeat(64)};"` } },
    { name: "a quote that does not close", headers: { "x-forwarded-client-cert": `Subject="x;Hash=${"a".repeat(64)}` } },
    { name: "no hash", headers: { "x-forwarded-client-cert": "By=x" } },
    { name: "base64 without its colons", headers: { "client-cert": der(mine).toString("base64") } },
    { name: "another spelling of base64", headers: { "client-cert": `:${der(mine).toString("base64url")}:` } },
    { name: "nothing", headers: {} },
  ])("is not believed with $name", async ({ headers }) => {
    expect((await exchange(proxiedPort, { headers })).body["error"]).toBe("invalid_request");
  });

  it("is not even read from anybody else", async () => {
    for (const headers of [standard(mine), envoy(mine)]) {
      expect((await exchange(openPort, { headers })).body["error"]).toBe("invalid_request");
      expect((await exchange(tlsPort, { headers })).body["error"]).toBe("invalid_request");
    }
  });
});

describe("the metadata", () => {
  it("says whether a certificate can reach us at all", async () => {
    const said = async (port: number): Promise<unknown> =>
      (await send(port, "GET", "/.well-known/oauth-authorization-server", "", {})).body["tls_client_certificate_bound_access_tokens"];
    expect([await said(tlsPort), await said(proxiedPort), await said(openPort)]).toEqual([true, true, false]);
  });
});
