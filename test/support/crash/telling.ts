import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "@jest/globals";
import { readLines, listSegments } from "../../../broker/audit/segments.ts";
import { BUCKETS, type LeaseId } from "../../../domain/ids.ts";
import { placeKey } from "../../../store/keyspace.ts";
import { eventually } from "../events.ts";
import { readFeed, type FeedReader } from "../feed-reader.ts";
import { freePort } from "../redis.ts";
import { DEPLOY_KEY } from "../shop.ts";
import { post } from "./http-wire.ts";
import type { Point } from "./point.ts";
import { credentialIn, type Actor, type World } from "./world.ts";

/** A broker that exports its audit into files, on which what was answered must appear exactly once. */
async function withFiles(world: World, story: (actor: Actor, dir: string) => Promise<Actor>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "stint-crash-audit-"));
  const port = await freePort();
  const before = world.actor;
  let last = before;
  await lockRunsOut(world);
  try {
    world.actor = await world.start({ port, auditDir: dir });
    await world.actor.broker.duties.runOnce();
    last = await story(world.actor, dir);
    await exported(world, last, dir);
  } finally {
    world.actor = before;
    if (last !== before) await world.kill(last);
    await rm(dir, { recursive: true, force: true });
  }
}
/** A successor on the same files, when the lock of the one that died has run out: Redis counts that by its own clock. */
async function again(world: World, dir: string): Promise<Actor> {
  await lockRunsOut(world);
  return world.start({ port: await freePort(), auditDir: dir });
}

async function lockRunsOut(world: World): Promise<void> {
  await world.later(16_000);
  await world.redis.client().del(`${placeKey("meta")}:exporter`);
}

/** Everything is in the files, in order, without a gap and nothing twice. */
async function exported(world: World, actor: Actor, dir: string): Promise<void> {
  await world.later(3_000); // longer than an exporter that failed leaves it to others
  await actor.broker.duties.runOnce();
  const seen = new Map<number, number[]>();
  const leases = new Set<string>();
  for (const segment of await listSegments(dir)) {
    for await (const { text } of readLines(segment.path)) {
      const row = JSON.parse(text) as { bucket?: number; seq?: number; lease?: string; action?: string };
      if (row.bucket === undefined || row.seq === undefined) continue;
      seen.set(row.bucket, [...(seen.get(row.bucket) ?? []), row.seq]);
      if (row.action === "lease.activated" && row.lease !== undefined) leases.add(row.lease);
    }
  }
  for (const sequences of seen.values()) expect(sequences).toEqual(sequences.map((_, at) => (sequences[0] ?? 0) + at));
  for (const id of world.opened) if ((await world.lease(id)) !== undefined) expect(leases).toContain(id);
  const states = await world.survivor.store.audit.states();
  for (let bucket = 0; bucket < BUCKETS; bucket += 1)
    if (seen.has(bucket)) expect(seen.get(bucket)?.at(-1)).toBeGreaterThanOrEqual((states[bucket]?.firstWaiting ?? 1) - 1);
}
const exports = (actor: Actor): Promise<void> => actor.broker.duties.runOnce();

/** A token, and a verifier that follows the actor's feed. */
async function followed(world: World): Promise<{ readonly lease: LeaseId; readonly token: string; readonly reader: FeedReader }> {
  const heard = await world.ask({ grant: "deploy" });
  const { lease, credential } = credentialIn(heard);
  const reader = await readFeed(world.actor.http.url, { key: DEPLOY_KEY });
  await reader.next(({ event }) => event === "sync");
  return { lease, token: String(credential["token"]), reader };
}
const revoke = async (world: World, token: string, lease: LeaseId): Promise<void> => {
  expect(await post(`${world.actor.http.url}/oauth2/revoke`, new URLSearchParams({ token }))).toMatchObject({ status: 200 });
  world.acknowledged.add(lease);
  expect(await world.introspected(token)).toBe(false);
};
const told = (reader: FeedReader, lease: LeaseId): number =>
  reader.events.filter(
    ({ event, data }) => event === "revoked" && (data["leases"] as readonly (readonly [string, number])[]).some(([id]) => id === lease),
  ).length;
const hears = (reader: FeedReader, lease: LeaseId): Promise<unknown> =>
  eventually("the verifier hears of it", () => told(reader, lease) > 0);

export const TELLING: readonly Point[] = [
  {
    id: "CP11",
    what: "the answer is out, the audit not yet in its files",
    atTarget: false,
    rows: {
      crash: (world) =>
        withFiles(world, async (actor, dir) => {
          await world.credential();
          const unread = actor.points.stop("audit.waiting", "before");
          void exports(actor).catch(() => undefined);
          await unread.reached;
          await world.kill(actor);
          // Its successor dies too, with the records in the files and still in the store.
          const next = await again(world, dir);
          world.actor = next;
          await world.credential();
          const untrimmed = next.points.stop("audit.trim", "before");
          void exports(next).catch(() => undefined);
          await untrimmed.reached;
          await world.kill(next);
          return again(world, dir);
        }),
      pause: (world) =>
        withFiles(world, async (actor) => {
          await world.credential();
          const there = actor.points.stop("audit.trim", "before");
          const exporting = exports(actor);
          await there.reached;
          await world.later(5_000);
          there.wake();
          await exporting;
          return actor;
        }),
      error: (world) =>
        withFiles(world, async (actor) => {
          await world.credential();
          const reached = actor.points.fail("audit.waiting", "before");
          await exports(actor);
          await reached;
          return actor;
        }),
      "lost reply": (world) =>
        withFiles(world, async (actor) => {
          await world.credential();
          const reached = actor.points.fail("audit.trim", "after");
          await exports(actor);
          await reached;
          return actor;
        }),
      duplicate: (world) =>
        withFiles(world, async (actor) => {
          await world.credential();
          const reached = actor.points.twice("audit.trim");
          await exports(actor);
          await reached;
          return actor;
        }),
    },
  },
  {
    id: "CP13",
    what: "the revocation is acknowledged, feed readers not yet told",
    atTarget: false,
    rows: {
      crash: async (world) => {
        const { lease, token, reader } = await followed(world);
        world.actor.points.hears = 0;
        await revoke(world, token, lease);
        const position = reader.lastId;
        await world.crash();
        const next = await readFeed(world.survivor.listens, { key: DEPLOY_KEY, position });
        await hears(next, lease);
        expect(await world.introspected(token)).toBe(false);
        for (const each of [reader, next]) each.close();
      },
      pause: async (world) => {
        const { lease, token, reader } = await followed(world);
        reader.pause();
        await revoke(world, token, lease);
        await world.later(5_000);
        expect(await world.introspected(token, world.actor.broker)).toBe(false);
        reader.resume();
        await hears(reader, lease);
        reader.close();
      },
      error: async (world) => {
        const { lease, token, reader } = await followed(world);
        world.actor.points.hears = 0;
        const reached = world.actor.points.fail("feed.readMany", "before");
        await revoke(world, token, lease);
        await reached;
        await hears(reader, lease);
        world.actor.points.hears = 1;
        reader.close();
      },
      "lost reply": async (world) => {
        // The hint is lost: the broker looks by itself, once a second.
        const { lease, token, reader } = await followed(world);
        world.actor.points.hears = 0;
        await revoke(world, token, lease);
        await hears(reader, lease);
        world.actor.points.hears = 1;
        reader.close();
      },
      duplicate: async (world) => {
        const { lease, token, reader } = await followed(world);
        world.actor.points.hears = 2;
        await revoke(world, token, lease);
        await hears(reader, lease);
        const other = await followed(world);
        await revoke(world, other.token, other.lease);
        await hears(reader, other.lease);
        expect(told(reader, lease)).toBe(1);
        world.actor.points.hears = 1;
        for (const each of [reader, other.reader]) each.close();
      },
    },
  },
];
