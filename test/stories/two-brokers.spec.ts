import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { Secret } from "../../domain/secret.ts";
import { origin, startBroker, startRevocation, type TestBroker } from "../support/broker.ts";
import { fakeClock } from "../support/clock.ts";
import { presetClaims } from "../support/idp-claims.ts";
import { startIdp, type TestIdp } from "../support/idp.ts";
import { freePort, startRedis, type TestRedis } from "../support/redis.ts";
import { DATABASE, DEPLOY_KEY, request, shopDocuments } from "../support/shop.ts";
import { testTarget } from "../support/test-issuers.ts";

describe("two brokers on one Redis", () => {
  const clock = fakeClock();
  let redis: TestRedis;
  let idp: TestIdp;
  let target: Awaited<ReturnType<typeof testTarget>>;
  let one: TestBroker;
  let two: TestBroker;

  beforeAll(async () => {
    redis = await startRedis();
    idp = await startIdp({ clock });
    target = await testTarget();
    // Behind one name, as a load balancer would have them: the same issuer, the same master key, one store.
    const url = `http://127.0.0.1:${await freePort()}`;
    one = await startBroker({ clock, redis, url, documents: shopDocuments(idp, url) + DATABASE, issuers: [target.issuer] });
    const second = `http://127.0.0.1:${await freePort()}`;
    two = await startBroker({
      clock,
      redis,
      url: second,
      masterKey: one.masterKey,
      documents: shopDocuments(idp, url) + DATABASE,
      issuers: [target.issuer],
    });
  });
  afterAll(async () => {
    await two[Symbol.asyncDispose]();
    await one[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
    await idp[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  });

  const evidence = async (claims: Readonly<Record<string, unknown>> = {}): Promise<Secret> =>
    new Secret(
      await idp.token(
        presetClaims("github", { iss: idp.issuer, aud: one.url, repository_id: "456789", ref: "refs/heads/main", ...claims }),
      ),
    );
  const ask = async (broker: TestBroker, grant: string, token?: Secret): ReturnType<TestBroker["services"]["requests"]["exchange"]> =>
    broker.services.requests.exchange({ ...request(grant), evidence: token ?? (await evidence()) });
  const viewer = { kind: "operator", operator: { name: "viewer", role: "viewer" } } as const;

  it("sign with the same keys", async () => {
    expect(await two.services.keys.jwks()).toEqual(await one.services.keys.jwks());
  });

  it("sign nothing with a key that the other has withdrawn, from that moment on", async () => {
    const before = await ask(two, "deploy"); // two knows the key, and would go on with it for a while
    const kid = (token: Secret): unknown =>
      (JSON.parse(Buffer.from(token.reveal().split(".")[0] ?? "", "base64url").toString()) as { kid: unknown }).kid;
    const withdrawn = String(kid(before.credential.token));
    await one.services.keys.withdraw(withdrawn, { name: "root", role: "admin" }, "leaked", origin());
    const after = await ask(two, "deploy", await evidence({ run_id: "after-the-leak" }));
    expect(kid(after.credential.token)).not.toBe(withdrawn);
    expect(await two.services.leases.get(before.lease.id, viewer, origin())).toMatchObject({ endedBy: "revoked" });
    expect(await two.services.leases.get(after.lease.id, viewer, origin())).toMatchObject({ state: "active" });
  });

  it("let a piece of evidence be used once between them", async () => {
    const token = await evidence();
    const replies = await Promise.allSettled([one, two, one, two].map((broker) => ask(broker, "deploy", token)));
    expect(replies.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const reply of replies) if (reply.status === "rejected") expect(reply.reason).toMatchObject({ code: "evidence_spent" });
  });

  it("know each other's leases, and end them", async () => {
    const issued = await ask(one, "deploy");
    const verifier = two.services.verifiers.authenticate("deploy-api", new Secret(DEPLOY_KEY));
    if (verifier === undefined) throw new Error("no verifier");
    expect(await two.services.leases.get(issued.lease.id, viewer, origin())).toMatchObject({ state: "active" });
    await startRevocation(two, { kind: "lease", name: issued.lease.id });
    const own = one.services.verifiers.authenticate("deploy-api", new Secret(DEPLOY_KEY));
    if (own === undefined) throw new Error("no verifier");
    expect(await one.services.introspection.check(issued.credential.token, own)).toEqual({ active: false });
  });

  it("hold one budget", async () => {
    const jobs = await Promise.all(Array.from({ length: 6 }, (_, run) => evidence({ run_id: `budget-${run}` })));
    const replies = await Promise.allSettled(jobs.map((job, index) => ask(index % 2 === 0 ? one : two, "few", job)));
    expect(replies.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
  });

  it("sweep the same buckets, and revoke each credential once", async () => {
    const jobs = await Promise.all(Array.from({ length: 20 }, (_, run) => evidence({ run_id: `sweep-${run}`, repository_id: "456789" })));
    const leases = await Promise.all(jobs.map(async (job, index) => (await ask(index % 2 === 0 ? one : two, "database", job)).lease.id));
    expect(new Set(await target.alive())).toEqual(new Set(leases));
    clock.advance({ minutes: 11 });
    await Promise.all([one.sweep(), two.sweep(), one.sweep(), two.sweep()]);
    await Promise.all([one.settled(), two.settled()]);
    expect(await target.alive()).toEqual([]);
    for (const lease of leases) {
      expect(await two.services.leases.get(lease, viewer, origin())).toMatchObject({ state: "revoked", endedBy: "expiry" });
      expect((await target.deeds(lease)).length).toBe(2);
    }
  });

  it("finish what a dead one has begun", async () => {
    const job = await evidence({ run_id: "orphan" });
    const issued = await ask(one, "database", job);
    target.goDown();
    await one.services.tokens.revoke(issued.taskToken, origin());
    await one.settled();
    expect(await target.alive()).toEqual([issued.lease.id]);
    await one.abandon();
    target.heal();
    for (let round = 0; round < 10; round++) {
      clock.advance({ minutes: 2 });
      await two.sweep();
      await two.settled();
    }
    expect(await target.alive()).toEqual([]);
    expect(await two.services.leases.get(issued.lease.id, viewer, origin())).toMatchObject({ state: "revoked" });
  });
});
