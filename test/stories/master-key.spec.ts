import { describe, expect, it } from "@jest/globals";
import { randomBytes } from "node:crypto";
import { Secret } from "../../domain/secret.ts";
import { origin, startBroker, type TestBroker } from "../support/broker.ts";
import { fakeClock } from "../support/clock.ts";
import { presetClaims } from "../support/idp-claims.ts";
import { startIdp } from "../support/idp.ts";
import { freePort, startRedis } from "../support/redis.ts";
import { DATABASE, request, shopDocuments } from "../support/shop.ts";
import { testTarget } from "../support/test-issuers.ts";

describe("rotating the master key", () => {
  it("seals private keys and handles anew, and the old key is not needed any more", async () => {
    await using redis = await startRedis();
    const clock = fakeClock();
    await using idp = await startIdp({ clock });
    await using target = await testTarget();
    const url = `http://127.0.0.1:${await freePort()}`;
    const [old, fresh] = [randomBytes(32), randomBytes(32)];
    const withKeys = (...masterKeys: Buffer[]): Promise<TestBroker> =>
      startBroker({ clock, redis, url, masterKeys, documents: shopDocuments(idp, url) + DATABASE, issuers: [target.issuer] });

    const first = await withKeys(old);
    const evidence = new Secret(
      await idp.token(presetClaims("github", { iss: idp.issuer, aud: url, repository_id: "456789", ref: "refs/heads/main" })),
    );
    const issued = await first.services.requests.exchange({ ...request("database"), evidence });
    const kids = (await first.services.keys.jwks()).keys.map((key) => key["kid"]);
    await first[Symbol.asyncDispose]();

    const second = await withKeys(fresh, old);
    expect((await second.services.keys.reseal({ name: "root", role: "admin" }, origin())).resealed).toBeGreaterThan(1);
    expect((await second.services.keys.reseal({ name: "root", role: "admin" }, origin())).resealed).toBe(0);
    await second[Symbol.asyncDispose]();

    const third = await withKeys(fresh);
    expect((await third.services.keys.jwks()).keys.map((key) => key["kid"])).toEqual(kids);
    expect(await target.alive()).toEqual([issued.lease.id]);
    await third.services.tokens.revoke(issued.taskToken, origin());
    await third.settled();
    expect(await target.alive()).toEqual([]);
    await third[Symbol.asyncDispose]();
  });
});
