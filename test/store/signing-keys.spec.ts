import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { calculateJwkThumbprint } from "jose";
import type { AuditFacts } from "../../domain/audit-event.ts";
import { createSigningKeys } from "../../store/key-rotation.ts";
import { redisKeyDocuments, type KeyDocuments } from "../../store/key-documents.ts";
import {
  EMPTY,
  KEY_TIMES,
  announcedKey,
  signerAt,
  stateOf,
  withActivation,
  withKey,
  withoutKey,
  type KeySet,
  type StoredKey,
} from "../../store/key-set.ts";
import { createSealer } from "../../store/sealing.ts";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

let redis: TestRedis;
let client: ReturnType<TestRedis["client"]>;
let clock: FakeClock;
let audited: AuditFacts[];
const MASTER = randomBytes(32);

beforeAll(async () => {
  redis = await startRedis();
  client = redis.client();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await client.flushdb();
  clock = fakeClock();
  audited = [];
});

const broker = (
  more: {
    readonly documents?: KeyDocuments;
    readonly master?: readonly Buffer[];
    readonly audit?: (facts: AuditFacts) => Promise<void>;
  } = {},
) =>
  createSigningKeys({
    documents: more.documents ?? redisKeyDocuments(client),
    sealer: createSealer(more.master ?? [MASTER]),
    clock,
    audit: more.audit ?? (async (facts) => void audited.push(facts)),
  });
const kids = (jwks: { readonly keys: readonly Readonly<Record<string, string>>[] }): string[] =>
  jwks.keys.map((key) => key["kid"] ?? "").sort();

describe("the first start", () => {
  it("makes one key of each kind, active at once, named by its thumbprint", async () => {
    const { keys, rotation } = broker();
    await rotation.ensure();
    expect((await keys.list()).map(({ alg, state }) => ({ alg, state }))).toEqual([
      { alg: "ES256", state: "active" },
      { alg: "RS256", state: "active" },
      { alg: "Ed25519", state: "active" },
    ]);
    for (const jwk of (await keys.jwks()).keys) expect(jwk["kid"]).toBe(await calculateJwkThumbprint({ ...jwk }));
    expect(audited.map(({ action }) => action)).toEqual(["key.added", "key.added", "key.added"]);
  });

  it("of two brokers at once leaves both with the same keys", async () => {
    const [one, two] = [broker(), broker()];
    await Promise.all([one.rotation.ensure(), two.rotation.ensure()]);
    expect(await one.keys.list()).toHaveLength(3);
    expect((await one.keys.current("ES256")).kid).toBe((await two.keys.current("ES256")).kid);
    expect((await one.keys.checkpointKey()).kid).toBe((await two.keys.checkpointKey()).kid);
  });

  it("is refused when the master key is another than the one that sealed the keys", async () => {
    await broker().rotation.ensure();
    await expect(broker({ master: [randomBytes(32)] }).rotation.ensure()).rejects.toMatchObject({
      code: "server_error",
      message: expect.stringContaining("is not among those configured"),
    });
  });

  it("is refused when the store holds keys of a layout that nobody knows", async () => {
    await redisKeyDocuments(client).write(0, JSON.stringify({ layout: 2, keys: [] }));
    await expect(broker().rotation.ensure()).rejects.toMatchObject({ code: "server_error", message: expect.stringContaining("layout") });
  });
});

describe("the JWKS", () => {
  it("shows public members only, and never the key of the audit", async () => {
    const { keys, rotation } = broker();
    await rotation.ensure();
    const { keys: jwks } = await keys.jwks();
    expect(jwks.map((key) => Object.keys(key).sort().join())).toEqual(["alg,crv,kid,kty,use,x,y", "alg,e,kid,kty,n,use"]);
    expect(await keys.find((await keys.checkpointKey()).kid)).toBeUndefined();
  });

  it("holds nothing private in the store either", async () => {
    await broker().rotation.ensure();
    const text = JSON.stringify(await client.hgetall("stint:{keys}:set"));
    expect(text).not.toMatch(/PRIVATE|"d"|"p"|"dp"/);
  });

  it("is answered from memory for ten minutes while the store is away, and then no more", async () => {
    let away = false;
    const real = redisKeyDocuments(client);
    const documents: KeyDocuments = { read: async () => (away ? Promise.reject(new Error("away")) : real.read()), write: real.write };
    const { keys, rotation } = broker({ documents });
    await rotation.ensure();
    away = true;
    clock.advance({ minutes: 9 });
    expect((await keys.jwks()).keys).toHaveLength(2);
    await expect(keys.current("ES256")).rejects.toThrow("away");
    clock.advance({ minutes: 2 });
    await expect(keys.jwks()).rejects.toThrow("away");
  });
});

describe("rotation by schedule", () => {
  it("announces a day ahead, switches every broker at the same instant, and destroys when no token can be left", async () => {
    const [one, two] = [broker(), broker()];
    await one.rotation.ensure();
    const first = await one.keys.current("ES256");
    clock.advance({ days: 29, seconds: 1 });
    await Promise.all([one.rotation.rotateDue(), two.rotation.rotateDue()]);
    expect((await two.keys.list()).map(({ alg, state }) => `${alg} ${state}`).sort()).toEqual([
      "ES256 active",
      "ES256 announced",
      "Ed25519 active",
      "RS256 active",
      "RS256 announced",
    ]);
    expect((await two.keys.current("ES256")).kid).toBe(first.kid);
    expect(kids(await one.keys.jwks())).toHaveLength(4);

    clock.set(((await one.keys.list()).find((key) => key.state === "announced")?.activeAt ?? 0) - 1);
    expect([(await one.keys.current("ES256")).kid, (await two.keys.current("ES256")).kid]).toEqual([first.kid, first.kid]);
    clock.advance({ ms: 1 });
    const [second, same] = [await one.keys.current("ES256"), await two.keys.current("ES256")];
    expect(second.kid).not.toBe(first.kid);
    expect(same.kid).toBe(second.kid);
    expect(await two.keys.find(first.kid)).toMatchObject({ kid: first.kid });

    clock.advance({ hours: 24, minutes: 10, seconds: 29 });
    expect(await one.keys.find(first.kid)).toBeDefined();
    clock.advance({ seconds: 1 });
    expect(await one.keys.find(first.kid)).toBeUndefined();
    await one.rotation.rotateDue();
    expect(audited.map(({ action }) => action)).toContain("key.destroyed");
    expect((await one.keys.list()).find((key) => key.kid === first.kid)).toMatchObject({ state: "destroyed" });
  });

  it("does nothing, and asks nothing of the store, when nothing is due", async () => {
    const { keys, rotation } = broker();
    await rotation.ensure();
    await rotation.rotateDue();
    const before = await client.hget("stint:{keys}:set", "version");
    for (let tick = 0; tick < 20; tick += 1) await rotation.rotateDue();
    expect(await client.hget("stint:{keys}:set", "version")).toBe(before);
    expect(await keys.list()).toHaveLength(3);
  });

  it("destroys the private part soon after a key has retired", async () => {
    const { keys, rotation } = broker();
    await rotation.ensure();
    await rotation.activateNext();
    clock.advance({ seconds: 71 });
    await rotation.rotateDue();
    const set = JSON.parse((await client.hget("stint:{keys}:set", "doc")) ?? "") as KeySet;
    const retired = (await keys.list()).filter((key) => key.state === "retired").map((key) => key.kid);
    expect(retired).toHaveLength(2);
    for (const key of set.keys) expect(key.sealed === null).toBe(retired.includes(key.kid));
    expect(kids(await keys.jwks())).toHaveLength(4);
  });
});

describe("the secret for task tokens", () => {
  it("is the same at every broker, outlives its key's last signature, and is gone with the key", async () => {
    const [one, two] = [broker(), broker()];
    await one.rotation.ensure();
    await two.rotation.ensure();
    const first = await one.keys.currentTaskKey();
    expect(first.kid).toBe((await one.keys.current("ES256")).kid);
    expect((await two.keys.currentTaskKey()).secret.equals(first.secret)).toBe(true);
    await one.rotation.activateNext();
    clock.advance({ seconds: 71 });
    await one.rotation.rotateDue();
    const next = await one.keys.currentTaskKey();
    expect(next.kid).not.toBe(first.kid);
    expect(next.secret.equals(first.secret)).toBe(false);
    expect((await broker().keys.taskKey(first.kid))?.equals(first.secret)).toBe(true);
    clock.advance({ hours: 25 });
    await one.rotation.rotateDue();
    expect(await one.keys.taskKey(first.kid)).toBeUndefined();
    expect(await one.keys.taskKey("constructor")).toBeUndefined();
    const { keys } = JSON.parse((await client.hget("stint:{keys}:set", "doc")) ?? "") as KeySet;
    expect(keys.find(({ kid }) => kid === first.kid)).toMatchObject({ sealed: null, task: null });
    expect(keys.filter(({ task }) => task !== null).map(({ kid }) => kid)).toEqual([next.kid]);
  });

  it("is destroyed when its key is withdrawn", async () => {
    const { keys, rotation } = broker();
    await rotation.ensure();
    const { kid } = await keys.currentTaskKey();
    await rotation.withdraw(kid, "operator:ada", "in a log");
    expect(await keys.taskKey(kid)).toBeUndefined();
    expect((await keys.currentTaskKey()).kid).not.toBe(kid);
    const set = JSON.parse((await client.hget("stint:{keys}:set", "doc")) ?? "") as KeySet;
    expect(set.keys.find((key) => key.kid === kid)).toMatchObject({ sealed: null, task: null });
  });
});

describe("rotation by hand", () => {
  it("announces once, however often it is asked", async () => {
    const { rotation } = broker();
    await rotation.ensure();
    await rotation.announceNext({ by: "operator:ada", reason: "yearly" });
    expect((await rotation.announceNext({ by: "operator:ada", reason: "yearly" })).filter((key) => key.state === "announced")).toHaveLength(
      2,
    );
    expect(audited.filter(({ principal, reason }) => principal === "operator:ada" && reason === "yearly")).toHaveLength(2);
  });

  it("touches one algorithm only when it is named, and none that does not exist", async () => {
    const { rotation } = broker();
    await rotation.ensure();
    expect((await rotation.announceNext({ alg: "RS256" })).filter((key) => key.state === "announced").map((key) => key.alg)).toEqual([
      "RS256",
    ]);
    await expect(rotation.announceNext({ alg: "Ed25519" })).rejects.toMatchObject({
      code: "invalid_request",
      message: "Signing keys are of ES256 or RS256.",
    });
  });

  it("tells the id of the signing key without a wait", async () => {
    const { keys, rotation } = broker();
    expect(keys.kidNow("ES256")).toBeUndefined();
    await rotation.ensure();
    expect(keys.kidNow("ES256")).toBe((await keys.current("ES256")).kid);
  });

  it("lets an announced key that everybody knows sign at once", async () => {
    const { keys, rotation } = broker();
    await rotation.ensure();
    const announced = (await rotation.announceNext()).filter((key) => key.state === "announced").map((key) => key.kid);
    clock.advance({ minutes: 30 });
    await rotation.activateNext();
    expect(announced).toContain((await keys.current("ES256")).kid);
    expect(announced).toContain((await keys.current("RS256")).kid);
  });

  it("gives a key that nobody knows ten seconds to be seen before it signs", async () => {
    const { keys, rotation } = broker();
    await rotation.ensure();
    const before = (await keys.current("ES256")).kid;
    await rotation.activateNext();
    expect((await keys.current("ES256")).kid).toBe(before);
    clock.advance({ seconds: 10 });
    expect((await keys.current("ES256")).kid).not.toBe(before);
  });
});

describe("a compromised key", () => {
  it("leaves the JWKS at once at every broker that looks, and the announced key signs", async () => {
    const [one, two] = [broker(), broker()];
    await one.rotation.ensure();
    const stolen = await two.keys.current("ES256");
    const next = (await one.rotation.announceNext()).find((key) => key.state === "announced" && key.alg === "ES256");
    await one.rotation.withdraw(stolen.kid, "operator:ada", "in a log");
    expect((await one.keys.current("ES256")).kid).toBe(next?.kid);
    expect(kids(await one.keys.jwks())).not.toContain(stolen.kid);
    expect(await one.keys.find(stolen.kid)).toBeUndefined();
    await two.keys.refresh();
    expect((await two.keys.current("ES256")).kid).toBe(next?.kid);
    expect(audited).toContainEqual({
      action: "key.withdrawn",
      principal: "operator:ada",
      kid: stolen.kid,
      alg: "ES256",
      reason: "in a log",
    });
    expect(await client.hget("stint:{keys}:set", "doc")).toContain('"sealed":null');
  });

  it("is replaced by a new one when none was announced", async () => {
    const { keys, rotation } = broker();
    await rotation.ensure();
    const stolen = await keys.current("RS256");
    await rotation.withdraw(stolen.kid, "operator:ada", "x");
    expect((await keys.current("RS256")).kid).not.toBe(stolen.kid);
    await rotation.withdraw(stolen.kid, "operator:ada", "x");
    expect(await keys.list()).toHaveLength(4);
  });

  it("of the audit goes too, and its public part stays to verify what it signed", async () => {
    const { keys, rotation } = broker();
    await rotation.ensure();
    const stolen = await keys.checkpointKey();
    await rotation.withdraw(stolen.kid, "operator:ada", "x");
    expect((await keys.checkpointKey()).kid).not.toBe(stolen.kid);
    expect((await keys.checkpointKeys()).map(({ kid, withdrawn }) => ({ old: kid === stolen.kid, withdrawn }))).toEqual([
      { old: true, withdrawn: true },
      { old: false, withdrawn: false },
    ]);
  });

  it("that does not exist is not found", async () => {
    const { rotation } = broker();
    await rotation.ensure();
    await expect(rotation.withdraw("nope", "operator:ada", "x")).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("the key id of a token, which is the bearer's word", () => {
  it("makes us read the store at most once a second", async () => {
    const real = redisKeyDocuments(client);
    let reads = 0;
    const documents: KeyDocuments = { write: real.write, read: () => ((reads += 1), real.read()) };
    const { keys, rotation } = broker({ documents });
    await rotation.ensure();
    clock.advance({ seconds: 2 });
    reads = 0;
    for (let n = 0; n < 50; n += 1) expect(await keys.find(`unknown-${n}`)).toBeUndefined();
    expect(reads).toBe(1);
  });

  it("that another broker has just made is found", async () => {
    const [one, two] = [broker(), broker()];
    await one.rotation.ensure();
    await two.keys.current("ES256");
    const fresh = (await one.rotation.announceNext()).find((key) => key.state === "announced");
    clock.advance({ seconds: 1 });
    expect(await two.keys.find(fresh?.kid ?? "")).toBeDefined();
  });
});

describe("what the audit is owed for a change", () => {
  it("is paid later by whichever broker finds it, when the one that made the change could not", async () => {
    const one = broker({ audit: () => Promise.reject(new Error("cannot")) });
    await one.rotation.ensure();
    expect(audited).toEqual([]);
    const two = broker();
    await two.rotation.rotateDue();
    await two.rotation.rotateDue();
    expect(audited.map(({ action }) => action)).toEqual(["key.added", "key.added", "key.added"]);
    clock.advance({ seconds: 6 });
    await two.rotation.rotateDue();
    await two.rotation.rotateDue();
    expect(audited).toHaveLength(3);
  });
});

describe("sealing under a new master key", () => {
  it("reseals every private part, after which the old master key is not needed", async () => {
    const fresh = randomBytes(32);
    await broker().rotation.ensure();
    const both = broker({ master: [fresh, MASTER] });
    expect(await both.rotation.reseal("operator:ada")).toBe(3);
    expect(await both.rotation.reseal("operator:ada")).toBe(0);
    const after = broker({ master: [fresh] });
    await after.rotation.ensure();
    expect((await after.keys.current("ES256")).kid).toBe((await both.keys.current("ES256")).kid);
    expect(audited.at(-1)).toMatchObject({ action: "seal.rotated", keys: 3 });
  });
});

describe("whatever is done to the keys, and whenever", () => {
  const key = (kid: string, activeAt: number, now: number): StoredKey => ({
    kid,
    alg: "ES256",
    public: {},
    sealed: "s",
    task: "t",
    createdAt: now,
    activeAt,
    retiredAt: null,
    withdrawnAt: null,
    noted: "announced",
  });
  const step = fc.record({
    waitMs: fc.integer({ min: 1, max: 20 * 86_400_000 }),
    verb: fc.constantFrom("announce", "activate", "withdraw", "wait"),
  });

  it("one key signs, and a verifier with a JWKS up to ten minutes old knows it, unless a key was withdrawn", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        let now = 1_000_000;
        let made = 0;
        const published = (state: KeySet, at: number): string[] =>
          state.keys.filter((k) => ["announced", "active", "retired"].includes(stateOf(k, at, KEY_TIMES))).map((k) => k.kid);
        const facts: AuditFacts = { action: "key.added", principal: "broker" };
        let set = withKey(EMPTY, key("k0", now, now), now, facts);
        for (const { waitMs, verb } of steps) {
          const before = { set, at: now };
          now += waitMs;
          const cached = published(before.set, Math.max(before.at, now - 600_000));
          const signer = signerAt(set, "ES256", now);
          if (signer === undefined) throw new Error("nobody signs");
          expect(cached).toContain(signer.kid); // nothing but time has passed since the verifier looked
          const active = set.keys.filter((k) => stateOf(k, now, KEY_TIMES) === "active").map((k) => k.kid);
          expect(active).toEqual([signer.kid]);
          const announced = announcedKey(set, "ES256", now);
          made += 1;
          if (verb === "announce" && announced === undefined)
            set = withKey(set, key(`k${made}`, now + KEY_TIMES.announcedMs, now), now, facts);
          if (verb === "activate" && announced !== undefined) set = withActivation(set, announced.kid, now, now);
          if (verb === "withdraw") {
            set = withoutKey(set, signer.kid, now, facts);
            set =
              announced === undefined ? withKey(set, key(`k${made}`, now, now), now, facts) : withActivation(set, announced.kid, now, now);
            expect(published(set, now)).not.toContain(signer.kid);
          }
          const after = signerAt(set, "ES256", now);
          expect(after && stateOf(after, now, KEY_TIMES)).toBe("active");
          // what signed a moment ago still verifies for as long as its tokens may live
          if (verb !== "withdraw") expect(published(set, now + 86_400_000)).toContain(signer.kid);
        }
      }),
    );
  });
});
