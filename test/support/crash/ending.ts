import { expect } from "@jest/globals";
import { RetryableFailure } from "../../../domain/credential.ts";
import type { LeaseId } from "../../../domain/ids.ts";
import type { Side } from "./failpoints.ts";
import { atTarget, meanwhile, type Point, type Stay } from "./point.ts";
import type { Stage } from "./target.ts";
import { CLAIM_OVER, TTL_MS, type World } from "./world.ts";

const stay = (world: World, name: string, side: Side, skip = 0): Stay => {
  const { reached, wake } = world.actor.points.stop(name, side, skip);
  return { reached, go: wake };
};
const hold = async (world: World, stage: Stage): Promise<Stay> =>
  atTarget(await world.actor.target.hold("revoke", stage), stage === "executing");
const targetFails = (): Error => new RetryableFailure("the target did not answer");

/** A lease that is due, and the actor's sweep that comes upon it. Leases in plenty where a batch is wanted. */
async function due(world: World, count = 1): Promise<readonly LeaseId[]> {
  const leases: LeaseId[] = [];
  for (let made = 0; made < count; made += 1) leases.push((await world.credential()).lease);
  world.clock.advance({ ms: TTL_MS });
  return leases;
}
const sweeps = (world: World): void => void world.actor.broker.sweep().catch(() => undefined); // a duty that fails is tried again
const actorIsDone = (world: World): Promise<void> => world.actor.broker.settled();

const dies =
  (at: (world: World) => Stay | Promise<Stay>, count = 1) =>
  async (world: World) => {
    await due(world, count);
    const there = await at(world);
    sweeps(world);
    await there.reached;
    await world.crash();
    await meanwhile(world, there, CLAIM_OVER);
    there.go();
    await world.quiet();
    await world.check({ active: 0 });
  };
/** For five seconds: then it goes on. For longer than its claim: others have done it, and waking changes nothing (I7). */
const sleeps =
  (at: (world: World) => Stay | Promise<Stay>, count = 1) =>
  async (world: World) => {
    await due(world, count);
    const short = await at(world);
    sweeps(world);
    await short.reached;
    await world.later(5_000);
    short.go();
    await actorIsDone(world);
    await world.check({ active: 0 });

    const leases = await due(world, count);
    const long = await at(world);
    sweeps(world);
    await long.reached;
    await meanwhile(world, long, CLAIM_OVER);
    for (const id of leases) expect(await world.lease(id)).toMatchObject({ state: "revoked" });
    const before = await world.snapshot();
    long.go();
    await actorIsDone(world);
    expect(await world.snapshot()).toEqual(before);
    await world.check({ active: 0 });
  };
/** The call fails, before or after it did what it was to do. The lease stays due, and says why it was not ended where the target failed. */
const fails = (name: string, side: Side, says?: string, error?: () => Error) => async (world: World) => {
  const [lease] = await due(world);
  const reached = world.actor.points.fail(name, side, error?.());
  sweeps(world);
  await reached;
  await actorIsDone(world);
  if (says !== undefined && lease !== undefined)
    expect(await world.lease(lease)).toMatchObject({ state: "revoking", attempts: 1, lastError: expect.stringContaining(says) });
  await world.later(CLAIM_OVER);
  await world.check({ active: 0 });
};
const onTheWire =
  (how: "loseReply" | "twice", script: "claim-due" | "settle-lease", count = 1) =>
  async (world: World) => {
    await due(world, count);
    const reached = world.actor.redis[how](script);
    sweeps(world);
    await reached;
    await actorIsDone(world);
    await world.later(CLAIM_OVER);
    await world.check({ active: 0 });
  };
/** The target's answer does not come: the call is cut off, and the target goes on with it. */
const cutAt = (stage: Stage) => async (world: World) => {
  await due(world);
  const held = await world.actor.target.hold("revoke", stage);
  sweeps(world);
  await held.reached;
  held.cut();
  await actorIsDone(world);
  held.deliver();
  await world.quiet();
  await world.later(CLAIM_OVER);
  await world.check({ active: 0 });
};
const refusedAt = (stage: Stage) => async (world: World) => {
  const [lease] = await due(world);
  const held = await world.actor.target.hold("revoke", stage);
  sweeps(world);
  await held.reached;
  await held.refuse();
  await actorIsDone(world);
  if (lease !== undefined) expect(await world.lease(lease)).toMatchObject({ state: "revoking", attempts: 1 });
  await world.later(CLAIM_OVER);
  await world.check({ active: 0 });
};
const repeatedAt = (stage: Stage) => async (world: World) => {
  await due(world);
  const held = await world.actor.target.hold("revoke", stage);
  sweeps(world);
  await held.reached;
  const again = held.again();
  held.deliver();
  await again;
  await actorIsDone(world);
  await world.check({ active: 0 });
};

/** Woken behind its time, it goes on as if nothing had been; `trouble` is what meets it then. */
const wakesLate = (trouble: (world: World) => Promise<void>) => async (world: World) => {
  await due(world);
  const there = stay(world, "leases.claimDue", "after");
  sweeps(world);
  await there.reached;
  await world.later(CLAIM_OVER);
  await world.check({ active: 0 });
  const before = await world.snapshot();
  const met = trouble(world);
  there.go();
  await met;
  await actorIsDone(world);
  expect(await world.snapshot()).toEqual(before);
};

/** Releasing by whoever holds the task's token: in the store the lease has ended, whatever becomes of the answer. */
const released = (trouble: (world: World) => Promise<void>, status: number) => async (world: World) => {
  const { lease, credential } = await world.credential();
  const met = trouble(world);
  const heard = await world.release(lease);
  await met;
  expect(heard.status).toBe(status);
  expect((await world.lease(lease))?.state).toMatch(/^revok(?:ing|ed)$/);
  await actorIsDone(world);
  await world.later(CLAIM_OVER);
  expect(await world.target.opens(credential)).toBe(false);
  await world.check({ active: 0 });
};

export const ENDING: readonly Point[] = [
  {
    id: "CP12",
    what: "the lease is ended, the reply unseen",
    atTarget: false,
    rows: {
      crash: async (world) => {
        const { lease, credential } = await world.credential();
        const there = stay(world, "leases.end", "after");
        const asked = world.release(lease);
        await there.reached;
        await world.crash();
        expect(await asked).toEqual({ status: "broken" });
        expect(await world.lease(lease)).toMatchObject({ state: "revoking" });
        await world.later(1);
        expect(await world.target.opens(credential)).toBe(false);
        await world.check({ active: 0 });
      },
      pause: async (world) => {
        for (const ms of [5_000, CLAIM_OVER]) {
          const { lease } = await world.credential();
          const there = stay(world, "leases.end", "after");
          const asked = world.release(lease);
          await there.reached;
          await world.later(ms);
          expect(await world.lease(lease)).toMatchObject({ state: "revoked" });
          const before = await world.snapshot();
          there.go();
          expect(await asked).toMatchObject({ status: 200 });
          await actorIsDone(world);
          expect(await world.snapshot()).toEqual(before);
        }
      },
      error: released((world) => world.actor.points.fail("leases.end", "after"), 503),
      "lost reply": released((world) => world.actor.redis.loseReply("end-lease"), 200),
      duplicate: released((world) => world.actor.redis.twice("end-lease"), 200),
    },
  },
  {
    id: "CP14",
    what: "the due lease is claimed, the target not yet asked",
    atTarget: true,
    rows: {
      crash: dies((world) => stay(world, "issuer.revoke", "before")),
      pause: sleeps((world) => stay(world, "issuer.revoke", "before")),
      error: fails("issuer.revoke", "before", "did not answer", targetFails),
      "lost reply": onTheWire("loseReply", "claim-due"),
      duplicate: async (world) => {
        // Both brokers sweep at once, and the actor asks the target twice: it ends once.
        await due(world);
        const reached = world.actor.points.twice("issuer.revoke");
        sweeps(world);
        await reached;
        await world.sweep();
        await actorIsDone(world);
        await world.check({ active: 0 });
      },
    },
  },
  {
    id: "CP15",
    what: "the target is ending it",
    atTarget: true,
    rows: {
      crash: dies((world) => hold(world, "executing")),
      pause: sleeps((world) => hold(world, "executing")),
      error: refusedAt("executing"),
      "lost reply": cutAt("executing"),
      duplicate: repeatedAt("executing"),
    },
  },
  {
    id: "CP16",
    what: "the target has ended it, the reply unseen",
    atTarget: true,
    rows: {
      crash: dies((world) => hold(world, "committed")),
      pause: sleeps((world) => hold(world, "committed")),
      error: refusedAt("committed"),
      "lost reply": cutAt("committed"),
      duplicate: repeatedAt("committed"),
    },
  },
  {
    id: "CP17",
    what: "the target's reply is seen, the lease not yet settled",
    atTarget: true,
    rows: {
      crash: dies((world) => stay(world, "leases.settle", "before")),
      pause: sleeps((world) => stay(world, "leases.settle", "before")),
      error: fails("leases.settle", "before"),
      "lost reply": "nothing was sent since the target's reply, and that one was seen; the settling's reply is CP18",
      duplicate: "nothing was sent that could arrive twice; the settling that does is CP18",
    },
  },
  {
    id: "CP18",
    what: "the lease is settled, the reply unseen",
    atTarget: true,
    rows: {
      crash: dies((world) => stay(world, "leases.settle", "after")),
      pause: sleeps((world) => stay(world, "leases.settle", "after")),
      error: fails("leases.settle", "after"),
      "lost reply": onTheWire("loseReply", "settle-lease"),
      duplicate: onTheWire("twice", "settle-lease"),
    },
  },
  {
    id: "CP19",
    what: "in the middle of a batch of claims",
    atTarget: true,
    rows: {
      crash: dies((world) => stay(world, "leases.settle", "before", 3), 6),
      pause: sleeps((world) => stay(world, "leases.settle", "before", 3), 6),
      error: async (world) => {
        const leases = await due(world, 6);
        const reached = world.actor.points.fail("issuer.revoke", "before", targetFails(), 3);
        sweeps(world);
        await reached;
        await actorIsDone(world);
        const states = await Promise.all(leases.map(async (id) => (await world.lease(id))?.state));
        expect(states.filter((state) => state === "revoked")).toHaveLength(5);
        expect(states.filter((state) => state === "revoking")).toHaveLength(1);
        await world.later(CLAIM_OVER);
        await world.check({ active: 0 });
      },
      "lost reply": onTheWire("loseReply", "settle-lease", 6),
      duplicate: onTheWire("twice", "claim-due", 6),
    },
  },
  {
    id: "CP20",
    what: "the sweeper sleeps past its claim and is woken",
    atTarget: true,
    rows: {
      crash: dies((world) => stay(world, "leases.claimDue", "after")),
      pause: wakesLate(async () => undefined),
      error: wakesLate((world) => world.actor.points.fail("issuer.revoke", "before", targetFails())),
      "lost reply": wakesLate((world) => world.actor.redis.loseReply("settle-lease")),
      duplicate: wakesLate((world) => world.actor.redis.twice("settle-lease")),
    },
  },
];
