import { describe, expect, it } from "@jest/globals";
import { createHash, X509Certificate } from "node:crypto";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import express from "express";
import { clientCertificate, createTestIssuer } from "../../../client/verify/index.ts";
import { protect } from "../../../client/verify/express.ts";
import { selfSigned } from "../../support/self-signed.ts";

const server = selfSigned("127.0.0.1", { days: 2 });
const [mine, other] = [selfSigned("one.test", { days: 2 }), selfSigned("two.test", { days: 2 })];
type Pem = typeof mine;
const raw = (pem: Pem): Buffer => new X509Certificate(pem.cert).raw;
const thumbprint = (pem: Pem): string => createHash("sha256").update(raw(pem)).digest("base64url");

async function scene(certificateOf?: () => Uint8Array | undefined) {
  const idp = await createTestIssuer();
  const guard = protect({
    ...idp.options,
    log: () => undefined,
    confirmations: [clientCertificate()],
    ...(certificateOf === undefined ? {} : { certificateOf }),
  });
  await guard.verifier.ready();
  const app = express();
  app.get("/x", guard, (_request, response) => void response.send("in"));
  const listener = createServer({ ...server, requestCert: true, rejectUnauthorized: false }, app);
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  const token = await idp.token({ claims: { cnf: { "x5t#S256": thumbprint(mine) } } });
  const ask = (client: Pem | undefined, scheme = "Bearer"): Promise<readonly [number, string | undefined]> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `${scheme} ${token}` };
      const sent = request({ host: "127.0.0.1", port, path: "/x", ca: server.cert, agent: false, headers, ...client }, (response) => {
        response.resume();
        resolve([response.statusCode ?? 0, response.headers["www-authenticate"]]);
      });
      sent.on("error", reject).end();
    });
  return {
    ask,
    async [Symbol.asyncDispose]() {
      listener.closeAllConnections();
      listener.close();
      await guard.verifier.close();
      await idp[Symbol.asyncDispose]();
    },
  };
}

describe("a token bound to a client certificate", () => {
  it("opens over a connection with that certificate, and over no other", async () => {
    await using at = await scene();
    expect((await at.ask(mine))[0]).toBe(200);
    for (const client of [other, undefined]) {
      const [status, challenge] = await at.ask(client);
      expect([status, challenge]).toEqual([401, expect.stringContaining('error="invalid_token"')]);
    }
    expect((await at.ask(mine, "DPoP"))[0]).toBe(401);
  });

  it("takes the certificate from whom the adapter was told to ask, and then from nobody else", async () => {
    await using behind = await scene(() => raw(mine));
    expect((await behind.ask(undefined))[0]).toBe(200);
    await using none = await scene(() => undefined);
    expect((await none.ask(mine))[0]).toBe(401);
  });
});
