import { afterEach, describe, expect, it } from "@jest/globals";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer as plain, type RequestListener, type Server } from "node:http";
import { createServer as secure } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../domain/time.ts";
import { freePort } from "../../support/redis.ts";
import { selfSigned } from "../../support/self-signed.ts";
import { openShop } from "../../support/shop.ts";
import { examine } from "./reading.ts";

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** Something that stands where the broker should be. */
async function standIn(answer: RequestListener, tls?: { readonly key: string; readonly cert: string }): Promise<string> {
  const server: Server = tls === undefined ? plain(answer) : secure(tls, answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  open.push(() => (server.closeAllConnections(), server.close()));
  return `${tls === undefined ? "http" : "https"}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Answers as the broker at its own address, with a clock that is off by so much. */
const broker =
  (offMs = 0): RequestListener =>
  (request, response) => {
    const scheme = "encrypted" in request.socket ? "https" : "http";
    response.setHeader("date", new Date(systemClock() + offMs).toUTCString());
    response.end(JSON.stringify({ issuer: `${scheme}://${request.headers.host}` }));
  };

async function trusted(cert: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "stint-doctor-"));
  open.push(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "ca.pem");
  await writeFile(file, cert);
  return file;
}

describe("the way to a broker", () => {
  it("that has no name in the DNS ends there, and says what was left out", async () => {
    const ran = await examine([], { STINT_URL: "https://broker.invalid" });
    expect([ran.code, ran.named("fail")]).toEqual([9, ["dns"]]);
    expect(ran.of("dns")[0]).toMatchObject({ what: expect.stringContaining("broker.invalid cannot be found"), next: expect.any(String) });
    expect(ran.of("broker")[0]).toMatchObject({ status: "left_out" });
  });

  it("where nothing listens names address and port", async () => {
    const port = await freePort();
    const ran = await examine([], { STINT_URL: `http://127.0.0.1:${port}` });
    expect([ran.code, ran.of("tcp")[0]?.what]).toEqual([9, `127.0.0.1:${port} refused the connection`]);
    expect(ran.of("tcp")[0]?.next).toContain("STINT_LISTEN");
  });

  it("that speaks no TLS where https is asked", async () => {
    const url = await standIn(broker());
    const ran = await examine([], { STINT_URL: url.replace("http:", "https:") });
    expect([ran.code, ran.of("tls")[0]]).toEqual([9, expect.objectContaining({ what: expect.stringContaining("no TLS there") })]);
  });

  it.each([
    ["signed by nobody we know", "127.0.0.1", 90, false, "DEPTH_ZERO_SELF_SIGNED_CERT", "STINT_CA_FILE"],
    ["that is over", "127.0.0.1", -1, true, "CERT_HAS_EXPIRED", "Renew it"],
    ["for another name", "other.example", 90, true, "ERR_TLS_CERT_ALTNAME_INVALID", "one made for this name"],
  ])("with a certificate %s is refused by name", async (_, host, days, trust, code, next) => {
    const made = selfSigned(host, { days });
    const url = await standIn(broker(), made);
    const ran = await examine([], { STINT_URL: url, ...(trust ? { STINT_CA_FILE: await trusted(made.cert) } : {}) });
    expect([ran.code, ran.named("fail")]).toEqual([9, ["tls"]]);
    expect(ran.of("tls")[0]).toMatchObject({
      what: `the certificate of 127.0.0.1 is refused (${code})`,
      next: expect.stringContaining(next),
    });
  });

  it("with a certificate that ends soon is warned of, and a fresh one is well", async () => {
    const asked = async (days: number) => {
      const made = selfSigned("127.0.0.1", { days });
      return await examine([], { STINT_URL: await standIn(broker(), made), STINT_CA_FILE: await trusted(made.cert) });
    };
    const soon = await asked(5);
    expect(soon.of("tls")[0]).toMatchObject({ status: "warn", what: expect.stringMatching(/ends in (?:4d|5d|11\dh|120h)/) });
    expect((await asked(90)).of("tls")[0]).toMatchObject({ status: "ok" });
    expect(soon.of("issuer")[0]).toMatchObject({ status: "ok" });
  });
});

describe("what answers", () => {
  it("and is no broker is told from one", async () => {
    const url = await standIn((_, response) => response.writeHead(404).end("nothing here"));
    const ran = await examine([], { STINT_URL: url });
    expect([ran.code, ran.of("issuer")[0]?.what]).toEqual([9, `${url} answered 404, but not like a Stint broker`]);
  });

  it("by another name than it was asked by fails: tokens and evidence bear the name", async () => {
    await using shop = await openShop();
    const asked = shop.broker.url.replace("127.0.0.1", "localhost");
    const ran = await examine([], { STINT_URL: asked });
    expect([ran.code, ran.of("issuer")[0]]).toEqual([
      9,
      expect.objectContaining({ status: "fail", what: `asked as ${asked}, it calls itself ${shop.broker.url}` }),
    ]);
  });

  it.each([
    [-20_000, "warn", "ahead of"],
    [20_000, "warn", "behind"],
    [300_000, "fail", "behind"],
    [500, "ok", "agree"],
  ])("with a clock %d ms off is %s", async (offMs, status, word) => {
    const url = await standIn(broker(offMs));
    const ran = await examine([], { STINT_URL: url });
    expect(ran.of("clock")[0]).toMatchObject({ status, what: expect.stringContaining(word) });
    expect(ran.code).toBe(status === "fail" ? 9 : 0);
  });
});
