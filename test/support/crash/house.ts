import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "@jest/globals";
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, type JSONWebKeySet } from "jose";
import { RetryableFailure } from "../../../domain/credential.ts";
import { newId, type LeaseId } from "../../../domain/ids.ts";
import { origin, type TestBroker } from "../broker.ts";
import { freePort } from "../redis.ts";
import { DEPLOY } from "../shop.ts";
import type { Point } from "./point.ts";
import { credentialIn, PENDING_OVER, type Actor, type World } from "./world.ts";

const admin = { name: "admin", role: "admin" } as const;
/** Longer than a new key is only known of. */
const KNOWN_OVER = 11_000;

const rotate = (broker: TestBroker) =>
  broker.services.keys.rotate({ alg: "ES256", when: "now", reason: "drill", operator: admin, origin: origin() });
const kids = async (broker: TestBroker): Promise<readonly string[]> => (await broker.services.keys.list()).map(({ kid }) => kid);

/** A token that a broker signs now verifies with what every broker publishes now (I17). Answers the key that signed. */
async function signs(world: World, broker: TestBroker): Promise<string> {
  const heard = await world.ask({ grant: "deploy" });
  const token = String(credentialIn(heard).credential["token"]);
  for (const each of new Set([broker, world.survivor])) {
    const keys = (await each.services.keys.jwks()) as unknown as JSONWebKeySet;
    await jwtVerify(token, createLocalJWKSet(keys), { audience: DEPLOY, currentDate: new Date(world.clock()) });
  }
  return decodeProtectedHeader(token).kid ?? "";
}
/** Every key that is new was told to the audit, whoever died before it could. */
async function keysAreTold(world: World, before: readonly string[]): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) {
    world.clock.advance({ ms: 6_000 });
    await world.survivor.duties.runOnce();
  }
  const told = new Set((await world.survivor.audit.records()).filter(({ action }) => action === "key.added").map((row) => row["kid"]));
  for (const kid of await kids(world.survivor)) if (!before.includes(kid)) expect(told).toContain(kid);
}
/** One key more than before, told of, and everybody signs with it once it is known. */
async function oneMore(world: World, before: readonly string[]): Promise<void> {
  await world.later(KNOWN_OVER);
  await keysAreTold(world, before);
  const now = await kids(world.survivor);
  expect(now).toHaveLength(before.length + 1);
  expect(before).not.toContain(await signs(world, world.actor.broker));
}

/** A broker of its own whose policy is a file that the story writes. */
async function withPolicy(world: World, story: (actor: Actor, file: string, whole: string) => Promise<Actor>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "stint-crash-policy-"));
  const file = join(folder, "policy.yaml");
  const whole = world.documents(world.actor.target);
  await writeFile(file, whole);
  const before = world.actor;
  let last: Actor | undefined;
  try {
    last = await world.start({ port: await freePort(), policyDir: folder });
    world.actor = last;
    last = await story(last, file, whole);
    await world.later(1); // what a story issued is still whole
  } finally {
    world.actor = before;
    if (last !== undefined) await world.kill(last);
    await rm(folder, { recursive: true, force: true });
  }
}
const EXTRA = `
---
kind: Grant
name: extra
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { issuer: jwt, audience: "https://extra.test", ttl: 5m }
`;
const HALF = EXTRA.slice(0, EXTRA.indexOf("issue:"));
const reload = async (actor: Actor): Promise<boolean> => (await actor.broker.reload({ file: "operators", text: "" })).policy.ok;

/** Things of ours at the target of which no lease tells. */
async function leftovers(world: World, count = 3): Promise<readonly LeaseId[]> {
  const left = Array.from({ length: count }, () => newId("lease", world.clock()));
  for (const id of left) await world.target.leave(id, world.url);
  return left;
}
/** A broker that starts and begins to compare. */
async function starting(world: World, story: (actor: Actor, usual: Actor) => Promise<Actor>): Promise<void> {
  const before = world.actor;
  const started = await world.start({ port: await freePort() });
  world.actor = started;
  let last = started;
  try {
    last = await story(started, before);
  } finally {
    world.actor = before;
    await world.kill(last);
  }
}
const compare = (broker: TestBroker) => broker.services.targets.reconcile("crash-db", "done", admin, "looking", origin());

export const HOUSE: readonly Point[] = [
  {
    id: "CP21",
    what: "a new signing key is stored, not yet published",
    atTarget: false,
    rows: {
      crash: async (world) => {
        const before = await kids(world.survivor);
        const there = world.actor.points.stop("keys.write", "after");
        void rotate(world.actor.broker).catch(() => undefined);
        await there.reached;
        await world.crash();
        await world.revive();
        await oneMore(world, before);
      },
      pause: async (world) => {
        const before = await kids(world.survivor);
        const there = world.actor.points.stop("keys.write", "after");
        const rotating = rotate(world.actor.broker);
        await there.reached;
        await world.later(5_000);
        await signs(world, world.survivor);
        there.wake();
        await rotating;
        await oneMore(world, before);
      },
      error: async (world) => {
        const before = await kids(world.survivor);
        const reached = world.actor.points.fail("keys.write", "before");
        await expect(rotate(world.actor.broker)).rejects.toMatchObject({ code: "store_unavailable" });
        await reached;
        expect(await kids(world.survivor)).toEqual(before);
        await signs(world, world.actor.broker);
      },
      "lost reply": async (world) => {
        const before = await kids(world.survivor);
        const reached = world.actor.points.fail("keys.write", "after");
        await expect(rotate(world.actor.broker)).rejects.toMatchObject({ code: "store_unavailable" });
        await reached;
        await oneMore(world, before);
      },
      duplicate: async (world) => {
        const before = await kids(world.survivor);
        const reached = world.actor.points.twice("keys.write");
        await rotate(world.actor.broker);
        await reached;
        await oneMore(world, before);
      },
    },
  },
  {
    id: "CP22",
    what: "the new signing key is published, not yet used",
    atTarget: false,
    rows: {
      crash: async (world) => {
        const before = await kids(world.survivor);
        await rotate(world.actor.broker);
        expect(before).toContain(await signs(world, world.actor.broker));
        await world.crash();
        await world.revive();
        await oneMore(world, before);
      },
      pause: async (world) => {
        // The actor hears nothing of keys while the new one takes over: what it signs then is believed everywhere.
        const before = await kids(world.survivor);
        await rotate(world.survivor);
        const there = world.actor.points.stop("keys.hmget", "before");
        world.clock.advance({ ms: 6_000 });
        const signing = signs(world, world.actor.broker);
        await there.reached;
        await world.later(KNOWN_OVER);
        there.wake();
        await signing;
        await oneMore(world, before);
      },
      error: async (world) => {
        const before = await kids(world.survivor);
        await rotate(world.survivor);
        world.clock.advance({ ms: 6_000 });
        const reached = world.actor.points.fail("keys.hmget", "before");
        await signs(world, world.actor.broker);
        await reached;
        await oneMore(world, before);
      },
      "lost reply": "publishing is reading what is stored: a read whose reply is lost is one that failed, as under error",
      duplicate: async (world) => {
        const before = await kids(world.survivor);
        await Promise.all([rotate(world.actor.broker), rotate(world.survivor)]);
        await rotate(world.actor.broker);
        await oneMore(world, before);
      },
    },
  },
  {
    id: "CP23",
    what: "the policy file is half written, or half loaded",
    atTarget: false,
    rows: {
      crash: (world) =>
        withPolicy(world, async (actor, file) => {
          await world.credential();
          await appendFile(file, HALF);
          await world.kill(actor);
          const port = await freePort();
          const policyDir = join(file, "..");
          await expect(world.start({ port, policyDir })).rejects.toMatchObject({ name: "UnusableConfiguration" });
          await appendFile(file, EXTRA.slice(HALF.length));
          const next = await world.start({ port, policyDir });
          world.actor = next;
          expect(await world.ask({ grant: "extra" })).toMatchObject({ status: 201 });
          return next;
        }),
      pause: (world) =>
        withPolicy(world, async (actor, file) => {
          await appendFile(file, HALF);
          expect(await reload(actor)).toBe(false);
          expect(await world.ask({ grant: "extra" })).toMatchObject({ status: 403 });
          await world.credential(); // what was in force before still is
          await world.later(5_000);
          await appendFile(file, EXTRA.slice(HALF.length));
          expect(await reload(actor)).toBe(true);
          expect(await world.ask({ grant: "extra" })).toMatchObject({ status: 201 });
          return actor;
        }),
      error: (world) =>
        withPolicy(world, async (actor, file, whole) => {
          await rm(file);
          await writeFile(file, Buffer.from([0xff, 0xfe, 0x00, 0x7b]));
          expect(await reload(actor)).toBe(false);
          await world.credential();
          await writeFile(file, whole + EXTRA);
          expect(await reload(actor)).toBe(true);
          expect(await world.ask({ grant: "extra" })).toMatchObject({ status: 201 });
          return actor;
        }),
      "lost reply": (world) =>
        withPolicy(world, async (actor, file, whole) => {
          // It is in force though its record did not get through.
          const { lease } = await world.credential();
          const reached = actor.points.fail("audit.append", "before");
          await writeFile(file, whole + EXTRA);
          expect(await reload(actor)).toBe(true);
          await reached;
          expect(await world.ask({ grant: "extra" })).toMatchObject({ status: 201 });
          expect(await world.lease(lease)).toMatchObject({ state: "active" });
          return actor;
        }),
      duplicate: (world) =>
        withPolicy(world, async (actor, file, whole) => {
          const { lease } = await world.credential();
          await writeFile(file, whole + EXTRA);
          expect(await Promise.all([reload(actor), reload(actor), reload(actor)])).toEqual([true, true, true]);
          expect(await world.ask({ grant: "extra" })).toMatchObject({ status: 201 });
          expect(await world.lease(lease)).toMatchObject({ state: "active" });
          return actor;
        }),
    },
  },
  {
    id: "CP24",
    what: "during the comparison of a target at the start",
    atTarget: true,
    rows: {
      crash: (world) =>
        starting(world, async (actor) => {
          await leftovers(world);
          const there = actor.points.stop("issuer.revoke", "before", 1);
          await actor.broker.duties.runOnce();
          await there.reached;
          await world.kill(actor);
          const next = await world.start({ port: await freePort() });
          world.actor = next;
          await next.broker.duties.runOnce();
          await next.broker.settled();
          await world.check({ active: 0 });
          return next;
        }),
      pause: (world) =>
        starting(world, async (actor, usual) => {
          const left = await leftovers(world);
          const there = actor.points.stop("issuer.listed", "before", 1);
          await actor.broker.duties.runOnce();
          await there.reached;
          // Meanwhile another broker makes a credential, and gives back a lease whose thing was listed.
          world.actor = usual;
          const { lease, credential } = await world.credential();
          await world.later(5_000);
          there.wake();
          await actor.broker.settled();
          expect(await world.target.opens(credential)).toBe(true);
          expect(await world.lease(lease)).toMatchObject({ state: "active" });
          for (const id of left) expect(await world.target.alive()).not.toContain(id);
          await world.check({ active: 1 });
          return actor;
        }),
      error: (world) =>
        starting(world, async (actor) => {
          await leftovers(world);
          const reached = actor.points.fail("issuer.listed", "before", new RetryableFailure("the list broke off"));
          await actor.broker.duties.runOnce();
          await reached;
          await actor.broker.settled();
          expect(actor.broker.services.targets.list()).toMatchObject([{ state: "failing", trouble: { what: "reconcile" } }]);
          await world.later(PENDING_OVER);
          await actor.broker.duties.runOnce();
          await actor.broker.settled();
          expect(actor.broker.services.targets.list()).toMatchObject([{ state: "open" }]);
          await world.check({ active: 0 });
          return actor;
        }),
      "lost reply": (world) =>
        starting(world, async (actor) => {
          await leftovers(world);
          const reached = actor.points.fail("issuer.revoke", "after", new RetryableFailure("the answer was lost"));
          await actor.broker.duties.runOnce();
          await reached;
          await actor.broker.settled();
          expect(actor.broker.services.targets.list()).toMatchObject([{ findings: { orphaned: 3, failed: 1 } }]);
          expect(await compare(actor.broker)).toMatchObject({ orphaned: 0, failed: 0 });
          await world.check({ active: 0 });
          return actor;
        }),
      duplicate: (world) =>
        starting(world, async (actor, usual) => {
          world.actor = usual;
          const { credential } = await world.credential();
          await leftovers(world, 6);
          const found = await Promise.all([compare(actor.broker), compare(world.survivor), compare(usual.broker)]);
          expect(found.every(({ failed }) => failed === 0)).toBe(true);
          expect(await world.target.opens(credential)).toBe(true);
          await world.check({ active: 1 });
          return actor;
        }),
    },
  },
];
