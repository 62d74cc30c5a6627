import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import express, { type RequestHandler } from "express";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createVerifier } from "../../../client/verify/index.ts";
import { protect, resourceMetadataHandler } from "../../../client/verify/express.ts";
import { systemClock } from "../../../domain/time.ts";
import { freePort } from "../../support/redis.ts";
import { DEPLOY_KEY, openShop, type Shop } from "../../support/shop.ts";
import { examine } from "./reading.ts";

let shop: Shop;
let url = "";
const open: (() => unknown)[] = [];

/** The shop's policy with two grants for this API, one that is revocable at once and one that nobody checks. */
const more = `
---
kind: Grant
name: elsewhere
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { issuer: jwt, audience: "https://few.shop.test", ttl: 5m }
`;
beforeEach(async () => {
  shop = await openShop({ more });
});
afterEach(async () => {
  for (const close of open.splice(0)) await close();
  await shop[Symbol.asyncDispose]();
});

async function api(...handlers: readonly RequestHandler[]): Promise<void> {
  const app = express();
  for (const one of handlers) app.use(one);
  app.get("/deploy", (_, response) => void response.json({ deployed: true }));
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  open.push(() => (server.closeAllConnections(), server.close()));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/deploy`;
}

const verifierOf = (audience: string, revocation: "introspection" | "none") => {
  const known = revocation === "none" ? {} : { name: "deploy-api", key: DEPLOY_KEY };
  const verifier = createVerifier({ issuer: shop.broker.url, audience, revocation, reports: false, log: () => undefined, ...known });
  open.push(() => verifier.close());
  return verifier;
};
const verify = async (...args: readonly string[]) =>
  examine(["verify", url, ...args], { STINT_URL: shop.broker.url, STINT_ID_TOKEN: (await shop.evidence()).reveal() });

describe("a resource server", () => {
  it("that verifies by stint/verify passes: honours a token that lives, refuses forged, foreign and revoked ones", async () => {
    await api(protect(verifierOf("https://deploy.shop.test", "introspection")) as RequestHandler);
    const ran = await verify("--grant", "deploy", "--other-grant", "elsewhere");
    expect([ran.code, ran.named("fail"), ran.named("warn")]).toEqual([0, [], []]);
    expect(ran.of("forged").map(({ status }) => status)).toEqual(["ok", "ok", "ok", "ok"]);
    expect(ran.of("honoured")[0]?.what).toBe("it believes a token that is good (200)");
    expect(ran.of("revoked")[0]?.what).toMatch(/^refused .* after it was given back$/);
    expect(ran.of("audience")[0]).toMatchObject({ status: "ok" });
    const { items } = await shop.broker.services.leases.list({ state: "active" }, undefined, 10);
    expect(items).toEqual([]);
  });

  it("that publishes its metadata is held to them", async () => {
    const place = { origin: "" };
    const verifier = verifierOf("https://deploy.shop.test", "introspection");
    await api(
      (request, response, next) => {
        place.origin = `http://${request.headers.host}`;
        void resourceMetadataHandler(verifier, { resource: `${place.origin}/deploy` })(request as never, response as never, next as never);
      },
      protect(verifier) as RequestHandler,
    );
    const ran = await verify();
    expect([ran.code, ran.of("metadata")[0]?.status, ran.of("trusts")[0]?.status]).toEqual([0, "ok", "ok"]);
    expect(ran.of("honoured")[0]).toMatchObject({ status: "left_out", next: "--grant NAME" });
    const other = await examine(["verify", url], { STINT_URL: "http://localhost:1" });
    expect([other.code, other.of("trusts")[0]?.status]).toEqual([9, "fail"]);
  });

  it("that protects nothing fails at once", async () => {
    await api();
    const ran = await verify();
    expect([ran.code, ran.of("no token")[0]?.what]).toEqual([9, "it answers 200 to whoever asks"]);
  });

  it("that only looks whether there is a token fails for each that nobody made", async () => {
    await api((request, response, next) => {
      if (request.headers.authorization === undefined) response.status(401).set("www-authenticate", 'Bearer realm="x"').end();
      else next();
    });
    const ran = await verify();
    expect([ran.code, ran.of("forged").map(({ status }) => status)]).toEqual([9, ["fail", "fail", "fail", "fail"]]);
    expect(ran.of("forged")[1]?.what).toBe("it honours an unsigned token (alg none)");
  });

  it("that believes whatever is written in a token, and misses only a scope, fails", async () => {
    await api((request, response, next) => {
      const written = request.headers.authorization?.split(".")[1];
      if (written === undefined) return void response.status(401).set("www-authenticate", 'Bearer error="invalid_token"').end();
      const { scope, exp } = JSON.parse(Buffer.from(written, "base64url").toString()) as { scope: string; exp: number };
      if (exp * 1_000 < systemClock()) return void response.status(403).set("www-authenticate", 'Bearer error="invalid_token"').end();
      if (!scope.split(" ").includes("deploy:write"))
        return void response.status(403).set("www-authenticate", 'Bearer error="insufficient_scope"').end();
      next();
    });
    const ran = await verify();
    expect([ran.code, ran.of("forged").map(({ status }) => status)]).toEqual([9, ["ok", "fail", "fail", "warn"]]);
    expect(ran.of("forged")[1]?.what).toBe("it believes an unsigned token (alg none), and answers 403 for another reason");
  });

  it("that never hears of revocations is found to honour what was given back", async () => {
    await api(protect(verifierOf("https://deploy.shop.test", "none")) as RequestHandler);
    const ran = await verify("--grant", "deploy", "--within", "600ms");
    expect([ran.code, ran.of("revoked")[0]]).toEqual([
      9,
      expect.objectContaining({
        status: "fail",
        why: expect.stringContaining("verifier_checked"),
        next: expect.stringContaining("maxStaleness"),
      }),
    ]);
  });

  it("that expects another audience refuses a good token, and one that takes any audience honours a foreign one", async () => {
    await api(protect(verifierOf("https://few.shop.test", "none")) as RequestHandler);
    const strict = await verify("--grant", "deploy");
    expect([strict.code, strict.of("honoured")[0]?.status]).toEqual([9, "fail"]);
    const foreign = await verify("--other-grant", "elsewhere");
    expect([foreign.code, foreign.of("audience")[0]?.what]).toEqual([
      9,
      "it answers 200 to a token of elsewhere, which is for another audience",
    ]);
  });

  it("that is not there, or answers as it should not, is told so", async () => {
    await api((_, response) => void response.status(302).set("location", "/login").end());
    const ran = await verify();
    expect([ran.code, ran.of("no token")[0]?.what]).toEqual([9, "it answers 302, where 401 says that a token is missing"]);
    url = `http://127.0.0.1:${await freePort()}/deploy`;
    expect((await verify()).of("reach")[0]?.what).toContain("did not answer (ECONNREFUSED)");
  });

  it("in the clear on another machine is never sent a real token", async () => {
    url = "http://deploy.shop.test/deploy";
    const ran = await verify("--grant", "deploy");
    expect([ran.code, ran.err]).toEqual([2, expect.stringContaining("is not encrypted")]);
  });
});
