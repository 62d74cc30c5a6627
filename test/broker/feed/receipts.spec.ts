import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createVerifier, type Verifier } from "../../../client/verify/index.ts";
import type { Receipt } from "../../../broker/services.ts";
import { origin, startBroker, startRevocation, type TestBroker } from "../../support/broker.ts";
import { eventually } from "../../support/events.ts";
import { readFeed } from "../../support/feed-reader.ts";
import { FEED_DOCUMENTS, openFeedShop, OTHER, SHIP } from "../../support/feed-shop.ts";
import { request, shopDocuments, type Shop } from "../../support/shop.ts";

const viewer = { kind: "operator", operator: { name: "vera", role: "viewer" } } as const;

describe("receipts of what verifiers check by the feed", () => {
  let shop: Shop;
  let second: TestBroker;
  const verifiers: Verifier[] = [];

  beforeAll(async () => {
    shop = await openFeedShop();
    const { redis, masterKey } = shop.broker;
    second = await startBroker({ redis, masterKey, documents: (url) => shopDocuments(shop.idp, url) + FEED_DOCUMENTS });
  });
  afterAll(async () => {
    for (const verifier of verifiers) await verifier.close();
    await second[Symbol.asyncDispose]();
    await shop[Symbol.asyncDispose]();
  });

  const issue = async (grant: string) =>
    shop.exchange({ ...request(grant), evidence: await shop.evidence({ run_id: `${Math.random()}` }) });
  const complete = (task: string, token: Awaited<ReturnType<typeof issue>>["taskToken"]) =>
    shop.broker.services.tasks.complete({ taskId: task, taskToken: token, outcome: "success", by: "complete", origin: origin() });
  /** As a load balancer would have it: the stream, and what it says, may be another broker's. */
  const at =
    (broker: TestBroker): typeof fetch =>
    (input, init) =>
      fetch(String(input instanceof Request ? input.url : input).replace(/^[^?]*(?=\/v1\/feed(?:\?|\/seen))/, broker.url), init);
  const verifierOf = async (who: typeof SHIP | typeof OTHER, instance: string, broker: TestBroker): Promise<Verifier> => {
    const [name = "", key = ""] = who.key.split(":");
    const made = createVerifier({
      issuer: shop.broker.url,
      audience: who.audience,
      name,
      key,
      instance,
      fetch: at(broker),
      log: () => undefined,
    });
    verifiers.push(made);
    await made.ready();
    return made;
  };

  it("say at issuing what is true then: verifier_checked, and dead by its expiry", async () => {
    const issued = await issue("ship");
    expect([issued.revocation, issued.deadBy]).toEqual(["verifier_checked", issued.expiresAt]);
  });

  it("are dead at their ending while no verifier was ever seen", async () => {
    const issued = await issue("other");
    const receipt = await complete(issued.task.id, issued.taskToken);
    expect(receipt.leases[0]).toMatchObject({ outcome: "revoked", revocation: "verifier_checked" });
    expect(receipt.deadBy).toBeLessThanOrEqual(Date.now());
  });

  /** Verifiers speak at most four times a second: a word that comes too late for the answer is in the next one. */
  const known = (task: string, broker: TestBroker): Promise<Receipt> =>
    eventually("every verifier has said that it knows", async () => {
      const { receipt } = await broker.services.tasks.get(task, viewer, origin());
      return receipt?.leases.every(({ outcome }) => outcome === "revoked") === true ? receipt : undefined;
    });

  it("are dead when verifiers at work have said so, at whatever broker, and stay so", async () => {
    const [one, two] = [await verifierOf(SHIP, "ship-1", shop.broker), await verifierOf(SHIP, "ship-2", second)];
    const issued = await issue("ship");
    const token = issued.credential.token.reveal();
    await expect(one.verify(token)).resolves.toMatchObject({ payload: { lease_id: issued.lease.id } });
    const before = Date.now();
    const answer = await complete(issued.task.id, issued.taskToken);
    expect(Date.now() - before).toBeLessThan(1_500);
    expect(answer).toMatchObject({ settled: true, leases: [{ revocation: "verifier_checked" }] });
    const receipt = await known(issued.task.id, second);
    expect(receipt.deadBy).toBeLessThanOrEqual(answer.deadBy ?? 0);
    expect(receipt.deadBy).toBeLessThan(before + 5_000);
    for (const verifier of [one, two]) await expect(verifier.verify(token)).rejects.toMatchObject({ reason: "revoked" });

    // More is said and done since: what was known once stays as it was.
    const more = await issue("ship");
    await complete(more.task.id, more.taskToken);
    await known(more.task.id, shop.broker);
    expect((await known(issued.task.id, shop.broker)).deadBy).toBe(receipt.deadBy);
  });

  it("of a released lease and of a revocation say the same", async () => {
    const [released, revoked] = [await issue("ship"), await issue("ship")];
    const { receipt } = await shop.broker.services.leases.release(released.lease.id, released.credential.token, origin());
    expect(receipt.revocation).toBe("verifier_checked");
    expect(receipt.deadBy).toBeLessThan(Date.now() + 16_001);
    const selector = { kind: "lease", name: revoked.lease.id } as const;
    const job = await startRevocation(shop.broker, selector);
    const later = await eventually("every verifier has said that it knows", async () => {
      const now = await second.services.revocations.get(job.id);
      return now.receipt.leases[0]?.outcome === "revoked" ? now.receipt : undefined;
    });
    expect(later.deadBy).toBeLessThanOrEqual(job.receipt.leases[0]?.deadBy ?? 0);
    expect((await shop.broker.services.revocations.get(job.id)).receipt.deadBy).toBe(later.deadBy);
  });

  it("wait a quarter of a second for one that is silent, then name the time at which it would deny, and improve once it speaks", async () => {
    const silent = await readFeed(shop.broker.url, { key: OTHER.key, instance: "silent", maxStaleness: 20 });
    await silent.next(({ event }) => event === "sync");
    const issued = await issue("other");
    const before = Date.now();
    const receipt = await complete(issued.task.id, issued.taskToken);
    expect(Date.now() - before).toBeLessThan(1_500);
    expect(receipt.leases[0]).toMatchObject({ outcome: "dead_by", revocation: "verifier_checked" });
    expect(receipt.deadBy).toBeGreaterThanOrEqual(before + 20_000);
    expect(receipt.deadBy).toBeLessThanOrEqual(Date.now() + 21_000);

    const told = await silent.next(({ event, data }) => event === "revoked" && JSON.stringify(data).includes(issued.lease.id));
    const said = await fetch(`${shop.broker.url}/v1/feed/seen`, {
      method: "POST",
      headers: { authorization: `Bearer ${OTHER.key}`, "content-type": "application/json" },
      body: JSON.stringify({ instance: "silent", position: told.id, max_staleness: 20 }),
    });
    expect(said.status).toBe(204);
    await eventually("a later read is better, at the other broker too", async () => {
      const { receipt: later } = await second.services.tasks.get(issued.task.id, viewer, origin());
      return later?.leases[0]?.outcome === "revoked" && (later.deadBy ?? Infinity) < Date.now();
    });
    silent.close();
  });

  it("plan with the time that verifiers at work may need", async () => {
    const issued = await issue("ship");
    const plan = await shop.broker.services.revocations.dryRun({ kind: "lease", name: issued.lease.id });
    expect(plan.byIssuer).toMatchObject([{ revocation: "verifier_checked" }]);
    expect(plan.byIssuer[0]?.deadBy).toBeGreaterThan(Date.now() + 10_000);
    expect(plan.byIssuer[0]?.deadBy).toBeLessThanOrEqual(Date.now() + 16_000);
  });
});
