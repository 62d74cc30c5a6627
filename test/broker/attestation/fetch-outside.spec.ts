import { type AddressInfo, createServer } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type Reach, fetchOutside } from "../../../broker/attestation/fetch-outside.ts";
import { startIdp } from "../../support/idp.ts";
import { selfSigned } from "../../support/self-signed.ts";

const CLOSED: Reach = { privateNetwork: false, insecureHttp: false, caFile: undefined, bearerFile: undefined };
const LOOPBACK_HTTP: Reach = { ...CLOSED, insecureHttp: true };

let inside: { readonly port: number; connections: number; close(): void };
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stint-outside-"));
  const server = createServer((socket) => {
    inside.connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  inside = { port: (server.address() as AddressInfo).port, connections: 0, close: () => void server.close() };
});
afterAll(async () => {
  inside.close();
  await rm(folder, { recursive: true });
});

describe("the door to the outside", () => {
  it("leads nowhere inside, however the address is written", async () => {
    const hosts = [
      "127.0.0.1",
      "127.1",
      "0x7f.1",
      "0x7f000001",
      "2130706433",
      "0177.0.0.1",
      "[::1]",
      "[::ffff:7f00:1]",
      "[::ffff:127.0.0.1]",
      "0.0.0.0",
      "[::]",
      "localhost",
      "169.254.169.254",
      "10.0.0.1",
      "192.168.0.1",
      "100.64.0.1",
      "[fe80::1]",
      "[64:ff9b::7f00:1]",
      "224.0.0.1",
    ];
    for (const host of hosts) {
      await expect(fetchOutside(`https://${host}:${inside.port}/`, CLOSED)).rejects.toThrow("leads to an address that is not allowed");
    }
    expect(inside.connections).toBe(0);
  });

  it.each([
    ["http://idp.example/", "is not https"],
    ["file:///etc/passwd", "is not https"],
    ["gopher://127.0.0.1/", "is not https"],
    ["ftp://idp.example/", "is not https"],
    ["https://user@idp.example/", "has credentials in its URL"],
    ["https://user:pass@127.0.0.1/", "has credentials in its URL"],
    ["not a url", "is not a URL"],
    [`https://idp.example/${"x".repeat(2100)}`, "is not a URL"],
  ])("stays shut for %s", async (url, message) => {
    await expect(fetchOutside(url, CLOSED)).rejects.toThrow(message);
  });

  it("opens http to loopback only, and only where the trust says so", async () => {
    await expect(fetchOutside("http://10.0.0.1/", LOOPBACK_HTTP)).rejects.toThrow("not allowed");
    await expect(fetchOutside("http://8.8.8.8/", LOOPBACK_HTTP)).rejects.toThrow("not allowed");
    await expect(fetchOutside("http://10.0.0.1/", { ...LOOPBACK_HTTP, privateNetwork: true })).rejects.toThrow("not allowed");
    await using idp = await startIdp({ algorithm: "ES256" });
    expect(JSON.parse(await fetchOutside(idp.jwksUri, LOOPBACK_HTTP))).toEqual(idp.jwks());
  });

  it("never opens to a metadata service, not even in a private network", async () => {
    for (const host of ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200"]) {
      await expect(fetchOutside(`https://${host}/`, { ...CLOSED, privateNetwork: true })).rejects.toThrow("not allowed");
    }
  });

  it("goes to the address it checked, whatever the name says a moment later", async () => {
    let asked = 0;
    const resolve = async (): Promise<{ address: string; family: number }[]> => [
      { address: asked++ === 0 ? "127.0.0.1" : "169.254.169.254", family: 4 },
    ];
    const before = inside.connections;
    await expect(fetchOutside(`https://rebind.test:${inside.port}/`, { ...CLOSED, privateNetwork: true }, { resolve })).rejects.toThrow(
      "failed",
    );
    expect(asked).toBe(1);
    expect(inside.connections).toBe(before + 1);
  });

  it("stays shut when one of a name's addresses is inside", async () => {
    const before = inside.connections;
    const resolve = async (): Promise<{ address: string; family: number }[]> => [
      { address: "8.8.8.8", family: 4 },
      { address: "127.0.0.1", family: 4 },
    ];
    await expect(fetchOutside(`https://mixed.test:${inside.port}/`, CLOSED, { resolve })).rejects.toThrow("not allowed");
    await expect(fetchOutside("https://none.test/", CLOSED, { resolve: async () => [] })).rejects.toThrow("has no address");
    expect(inside.connections).toBe(before);
  });

  it("waits for a name no longer than for an answer", async () => {
    await expect(
      fetchOutside("https://slow.test/", CLOSED, { resolve: () => new Promise(() => undefined), timeoutMs: 50 }),
    ).rejects.toThrow("took too long");
  });

  it.each([
    ["hang", "took too long"],
    ["slow", "took too long"],
    ["huge", "answered with too much"],
    ["many-keys", "answered with too much"],
    ["redirect", "answered with status 302"],
    ["error", "answered with status 500"],
  ] as const)("bears with a provider that misbehaves: %s", async (fault, message) => {
    await using idp = await startIdp({ algorithm: "ES256" });
    idp.fault.jwks = fault;
    const before = process.memoryUsage().rss;
    await expect(fetchOutside(idp.jwksUri, LOOPBACK_HTTP, { timeoutMs: 400 })).rejects.toThrow(message);
    expect(process.memoryUsage().rss - before).toBeLessThan(50 * 2 ** 20);
  });

  it("does not use a proxy from the environment", async () => {
    await using idp = await startIdp({ algorithm: "ES256" });
    const old = process.env["http_proxy"];
    process.env["http_proxy"] = `http://127.0.0.1:${inside.port}`;
    const before = inside.connections;
    await fetchOutside(idp.jwksUri, LOOPBACK_HTTP);
    expect(inside.connections).toBe(before);
    if (old === undefined) delete process.env["http_proxy"];
    else process.env["http_proxy"] = old;
  });

  it("believes TLS only with the authority it was given, and never an expired certificate", async () => {
    const good = selfSigned("127.0.0.1", { days: 1 });
    await using idp = await startIdp({ algorithm: "ES256", tls: good });
    const caFile = join(folder, "ca.pem");
    await writeFile(caFile, good.cert);
    const inner = { ...CLOSED, privateNetwork: true };
    await expect(fetchOutside(idp.jwksUri, inner)).rejects.toThrow("failed: DEPTH_ZERO_SELF_SIGNED_CERT");
    expect(JSON.parse(await fetchOutside(idp.jwksUri, { ...inner, caFile }))).toEqual(idp.jwks());
    const old = selfSigned("127.0.0.1", { days: -1 });
    await using expired = await startIdp({ algorithm: "ES256", tls: old });
    await writeFile(caFile, old.cert);
    await expect(fetchOutside(expired.jwksUri, { ...inner, caFile })).rejects.toThrow("failed: CERT_HAS_EXPIRED");
  });

  it("sends the bearer it was given, read anew each time, and refuses an unusable one", async () => {
    await using idp = await startIdp({ algorithm: "ES256" });
    const bearerFile = join(folder, "bearer");
    await writeFile(bearerFile, `${idp.runner.requestToken}\n`);
    const url = `${idp.runner.requestUrl}&audience=x`;
    expect(JSON.parse(await fetchOutside(url, { ...LOOPBACK_HTTP, bearerFile }))).toHaveProperty("value");
    await expect(fetchOutside(url, LOOPBACK_HTTP)).rejects.toThrow("answered with status 401");
    await writeFile(bearerFile, "two lines\nof text");
    await expect(fetchOutside(url, { ...LOOPBACK_HTTP, bearerFile })).rejects.toThrow("without a usable token");
  });
});
