import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { Secret } from "../../domain/secret.ts";
import type { Verifier } from "../../broker/policy/policy.ts";
import { origin } from "../support/broker.ts";
import { fakeClock } from "../support/clock.ts";
import { DEPLOY, DEPLOY_KEY, openShop, request, type Shop } from "../support/shop.ts";

const payloadOf = (token: Secret): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.reveal().split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;

describe("a CI job that asks for a credential", () => {
  const clock = fakeClock();
  let shop: Shop;
  const verifier = (): Verifier => {
    const found = shop.broker.services.verifiers.authenticate("deploy-api", new Secret(DEPLOY_KEY));
    if (found === undefined) throw new Error("the verifier is not known");
    return found;
  };
  beforeAll(async () => {
    shop = await openShop({ clock });
  });
  afterAll(async () => {
    await shop[Symbol.asyncDispose]();
  });

  it("gets a token for the grant, with all that it must know", async () => {
    const issued = await shop.exchange();
    expect(issued).toMatchObject({
      grant: "deploy",
      issuer: "jwt",
      limitedBy: "grant",
      revocation: "verifier_checked",
      scope: ["deploy:read", "deploy:write"],
      replayed: false,
    });
    expect(issued.expiresAt).toBe(clock() + 600_000);
    expect(issued.deadBy).toBe(issued.expiresAt);
    expect(payloadOf(issued.credential.token)).toMatchObject({
      iss: shop.broker.url,
      aud: DEPLOY,
      sub: "github:456789",
      client_id: "github:456789",
      scope: "deploy:read deploy:write",
      lease_id: issued.lease.id,
      task_id: issued.task.id,
      jti: issued.lease.id,
      grant: "deploy",
      workload: "github/octo-org/octo-repo",
      exp: Math.floor(issued.expiresAt / 1000),
    });
  });

  it("is believed by introspection while its lease lives, and not a moment longer", async () => {
    const issued = await shop.exchange();
    expect(await shop.broker.services.introspection.check(issued.credential.token, verifier())).toMatchObject({
      active: true,
      claims: { lease_id: issued.lease.id },
    });
    await shop.broker.services.tokens.revoke(issued.credential.token, origin());
    expect(await shop.broker.services.introspection.check(issued.credential.token, verifier())).toEqual({ active: false });
    expect(
      await shop.broker.services.leases.get(issued.lease.id, { kind: "operator", operator: { name: "viewer", role: "viewer" } }, origin()),
    ).toMatchObject({ state: "revoked", endedBy: "released" });
  });

  it("is not believed by a verifier of another audience", async () => {
    const issued = await shop.exchange();
    expect(
      await shop.broker.services.introspection.check(issued.credential.token, { ...verifier(), audience: "https://else.test" }),
    ).toEqual({ active: false });
    expect(await shop.broker.services.introspection.check(issued.taskToken, verifier())).toEqual({ active: false });
    expect(await shop.broker.services.introspection.check(new Secret("nonsense"), verifier())).toEqual({ active: false });
  });

  it("finds its grant by audience", async () => {
    expect(await shop.exchange({ grant: undefined, audiences: [DEPLOY] })).toMatchObject({ grant: "deploy" });
    await expect(shop.exchange({ grant: undefined, audiences: ["https://nobody.test"] })).rejects.toMatchObject({ code: "not_permitted" });
    await expect(shop.exchange({ audiences: ["https://nobody.test"] })).rejects.toMatchObject({
      code: "not_permitted",
      message: "the grant deploy is not for the audience that was asked for",
    });
  });

  it("gets less than it asks for when the grant says so, and is told why", async () => {
    expect(await shop.exchange({ ttlMs: 3_600_000 })).toMatchObject({ limitedBy: "grant", expiresAt: clock() + 1_800_000 });
    expect(await shop.exchange({ ttlMs: 60_000, scope: ["deploy:read"] })).toMatchObject({
      limitedBy: "asked",
      expiresAt: clock() + 60_000,
      scope: ["deploy:read"],
    });
    await expect(shop.exchange({ scope: ["deploy:admin"] })).rejects.toMatchObject({ code: "scope_too_wide" });
  });

  it("spends evidence that is good for one use, and only by what is opened", async () => {
    const evidence = await shop.evidence();
    await expect(shop.exchange({ evidence, scope: ["deploy:admin"] })).rejects.toMatchObject({ code: "scope_too_wide" });
    await shop.exchange({ evidence });
    await expect(shop.exchange({ evidence })).rejects.toMatchObject({
      code: "evidence_spent",
      facts: { denialId: expect.stringMatching(/^den_/) },
    });
  });

  it("shares a task with every request of the same run", async () => {
    const run = { run_id: "1", run_attempt: "1", check_run_id: "77" };
    const first = await shop.exchange({ evidence: await shop.evidence(run) });
    const second = await shop.exchange({ evidence: await shop.evidence(run) });
    const other = await shop.exchange();
    expect(second.task.id).toBe(first.task.id);
    expect(other.task.id).not.toBe(first.task.id);
  });

  it("may present its task token as evidence, which joins that task", async () => {
    const first = await shop.exchange();
    const second = await shop.exchange({ evidence: first.taskToken });
    expect(second.task.id).toBe(first.task.id);
    expect(second.lease.id).not.toBe(first.lease.id);
  });

  it("is refused with an id that an operator can look up", async () => {
    const refused = await shop
      .exchange({ evidence: await shop.evidence({ event_name: "pull_request_target" }) })
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: "claim_mismatch",
      facts: { failedClaims: ["event_name"], denialId: expect.stringMatching(/^den_/) },
    });
    const denialId = (refused as { facts: { denialId: string } }).facts.denialId;
    const denial = await shop.broker.services.denials.get(denialId);
    expect(denial).toMatchObject({ grant: "deploy", view: { code: "claim_mismatch" }, principal: { subject: "github:456789" } });
    expect(denial.trace?.rules.map(({ rule, matched }) => [rule, matched])).toEqual([
      ["deploy.allow[0]", true],
      ["deploy.deny[0]", true],
    ]);
    const explained = await shop.broker.services.policy.explain({ denial: denialId });
    expect(explained.today).toMatchObject({ allowed: false, code: "claim_mismatch" });
  });

  it("cannot tell a grant it is no candidate for from one that does not exist", async () => {
    const stranger = await shop.evidence({ repository_id: "1" });
    const real = await shop.exchange({ evidence: stranger }).catch((error: unknown) => error);
    const imagined = await shop.exchange({ evidence: stranger, grant: "no-such-grant" }).catch((error: unknown) => error);
    expect(real).toMatchObject({ code: "not_permitted" });
    expect((imagined as Error).message).toBe((real as Error).message);
  });

  it("is refused with an id when nobody vouches for it", async () => {
    const refused = await shop.exchange({ evidence: new Secret("not.a.token") }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "invalid_identity", facts: { denialId: expect.stringMatching(/^den_/) } });
    await shop.broker.duties.runOnce();
    const { denialId } = (refused as { facts: { denialId: string } }).facts;
    expect(await shop.broker.services.denials.get(denialId)).toMatchObject({ id: denialId, view: { code: "invalid_identity" } });
  });

  it("gets the same token again for the same idempotency key, and no second lease", async () => {
    const evidence = await shop.evidence();
    const idempotency = { key: "k1", bodySha256: "a".repeat(64) };
    const first = await shop.exchange({ evidence, idempotency, scope: ["deploy:read"] });
    clock.advance({ seconds: 7 });
    const again = await shop.exchange({ evidence, idempotency, scope: ["deploy:read"] });
    expect(again).toMatchObject({ replayed: true, expiresAt: first.expiresAt, lease: { id: first.lease.id } });
    const [one, two] = [payloadOf(first.credential.token), payloadOf(again.credential.token)];
    expect(two).toEqual(one);
    await expect(shop.exchange({ evidence, idempotency: { ...idempotency, bodySha256: "b".repeat(64) } })).rejects.toMatchObject({
      code: "idempotency_mismatch",
    });
  });

  it("holds its limits under concurrency", async () => {
    const asked = await Promise.allSettled(Array.from({ length: 8 }, () => shop.exchange({ ...request("few") })));
    const refused = asked.filter((one) => one.status === "rejected").map((one) => (one.reason as { code: string }).code);
    expect(asked.filter((one) => one.status === "fulfilled")).toHaveLength(2);
    expect(new Set(refused)).toEqual(new Set(["limit_active"]));
  });
});

describe("a broker that must not issue", () => {
  it("refuses while the audit trail cannot be written, and still ends", async () => {
    await using shop = await openShop({ clock: fakeClock() });
    const issued = await shop.exchange();
    shop.broker.audit.healthy = false;
    await expect(shop.exchange()).rejects.toMatchObject({ code: "audit_unavailable" });
    await shop.broker.services.tokens.revoke(issued.credential.token, origin());
    expect(await shop.broker.store.leases.get(issued.lease.id)).toMatchObject({ state: "revoked" });
    shop.broker.audit.healthy = true;
    await expect(shop.exchange()).resolves.toMatchObject({ grant: "deploy" });
  });
});
