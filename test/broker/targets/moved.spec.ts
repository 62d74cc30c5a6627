import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { origin, startBroker, type TestBroker } from "../../support/broker.ts";
import { fakeClock, type FakeClock } from "../../support/clock.ts";
import { presetClaims } from "../../support/idp-claims.ts";
import { startIdp, type TestIdp } from "../../support/idp.ts";
import { freePort, startRedis, type TestRedis } from "../../support/redis.ts";
import { DATABASE, shopDocuments } from "../../support/shop.ts";
import { Secret } from "../../../domain/secret.ts";
import { testKind, testTarget } from "../../support/test-issuers.ts";

const admin = { name: "admin", role: "admin" } as const;
type Place = Awaited<ReturnType<typeof testTarget>>;
let here: Place;
let there: Place;
let clock: FakeClock;
let idp: TestIdp;
let redis: TestRedis;
let policyDir: string;
let url: string;
let broker: TestBroker;
const masterKey = Buffer.alloc(32, 7);
beforeEach(async () => {
  clock = fakeClock("2026-03-02T12:00:00Z");
  [here, there, idp, redis] = await Promise.all([testTarget(), testTarget(), startIdp({ clock }), startRedis()]);
  policyDir = await mkdtemp(join(tmpdir(), "stint-moved-"));
  url = `http://127.0.0.1:${await freePort()}`;
  await leadTo(here);
  broker = await start();
});
afterEach(async () => {
  await broker[Symbol.asyncDispose]();
  for (const each of [here, there, idp]) await each[Symbol.asyncDispose]();
  await redis.stop();
  await rm(policyDir, { recursive: true, force: true });
});

const start = (): Promise<TestBroker> =>
  startBroker({ clock, url, policyDir, redis, masterKey, kinds: [testKind], variables: { PASSWORD: "the broker's own" } });

/** The target under the same name, at this address. */
async function leadTo(place: Place): Promise<void> {
  const target = `\n---\nkind: Target\nname: shop-db\nowner: team-platform\nissuer: test-file\nfile: "${place.file}"\npassword: env:PASSWORD\n`;
  await writeFile(join(policyDir, "policy.yaml"), shopDocuments(idp, url) + target + DATABASE.replace("issuer: test", "target: shop-db"));
}
const reload = async (place: Place): Promise<void> => {
  await leadTo(place);
  const operators = Object.values(broker.operators).length;
  expect(operators).toBeGreaterThan(0);
  const { policy } = await broker.reload({ file: "operators", text: "" });
  expect(policy.ok).toBe(true);
  await broker.settled();
};
async function restart(): Promise<void> {
  await broker[Symbol.asyncDispose]();
  broker = await start();
}
async function issue() {
  const claims = presetClaims("github", { iss: idp.issuer, aud: url, repository_id: "456789", ref: "refs/heads/main" });
  const shared = { purpose: undefined, ttlMs: undefined, idempotency: undefined, origin: origin() };
  const evidence = new Secret(await idp.token(claims));
  const { task, taskToken } = await broker.services.tasks.open({ ...shared, evidence, parent: undefined, heartbeatMs: undefined });
  const words = { scope: [], purpose: "", environment: "", resource: "" };
  const issued = await broker.services.tasks.credential({ ...shared, ...words, taskId: task.id, taskToken, grant: "database" });
  return { id: issued.lease.id, taskToken };
}
const release = ({ id, taskToken }: Awaited<ReturnType<typeof issue>>) => broker.services.leases.release(id, taskToken, origin());
const reconcile = () => broker.services.targets.reconcile("shop-db", "done", admin, "looking", origin());
const stateOf = async (id: string) => (await broker.store.leases.get(id as never))?.state;

describe("a target that leads to another place under the same name", () => {
  it("has its old leases ended where they were made, while the process that knew that place lives", async () => {
    const old = await issue();
    await reload(there);
    await release(old);
    expect(await here.alive()).toEqual([]);
    expect(await stateOf(old.id)).toBe("revoked");
    expect(await there.deeds(old.id)).toEqual([]);
  });

  it("does not take what lives at the old place for gone because the new one does not have it", async () => {
    const old = await issue();
    clock.advance({ minutes: 2 });
    await reload(there);
    expect(await reconcile()).toMatchObject({ seen: 0, missed: 0, missing: [] });
    expect(await stateOf(old.id)).toBe("active");
    await restart();
    expect(await reconcile()).toMatchObject({ missed: 0 });
    await release(old);
    expect(await here.alive()).toEqual([old.id]);
    const lease = await broker.store.leases.get(old.id);
    expect(lease).toMatchObject({ state: "stuck" });
    expect(lease?.lastError).toBe(
      `PermanentFailure: it was made at test-file ${here.file}, and shop-db leads to test-file ${there.file} now: let it lead back until this lease has ended, or end it there by hand and force the lease closed`,
    );
  });

  it("ends them once it leads back", async () => {
    const old = await issue();
    await leadTo(there);
    await restart();
    await release(old);
    await leadTo(here);
    await restart();
    clock.advance({ minutes: 16 });
    await broker.sweep();
    await broker.settled();
    expect([await stateOf(old.id), await here.alive()]).toEqual(["revoked", []]);
  });

  it("ends them at its new address when that is the same place after all", async () => {
    const old = await issue();
    await leadTo(there);
    await there.make(old.id);
    await restart();
    await release(old);
    expect([await stateOf(old.id), await there.alive()]).toEqual(["revoked", []]);
  });

  it("is compared with the store before anything is issued at the new place", async () => {
    await issue();
    const left = (await issue()).id;
    await there.make(left.replace(/.$/, (last) => (last === "0" ? "1" : "0")) as never);
    await reload(there);
    const made = await issue();
    expect(await there.alive()).toEqual([made.id]);
  });
});
