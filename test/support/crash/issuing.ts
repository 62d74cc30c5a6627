import { expect } from "@jest/globals";
import { RetryableFailure } from "../../../domain/credential.ts";
import { atTarget, diesWhileIssuing, meanwhile, nothingIsLeft, opensAndEnds, sleepsWhileIssuing, type Point, type Stay } from "./point.ts";
import type { Side } from "./failpoints.ts";
import type { Stage } from "./target.ts";
import { CLAIM_OVER, credentialIn, PENDING_OVER, type World } from "./world.ts";

const stay = (world: World, name: string, side: Side): Stay => {
  const { reached, wake } = world.actor.points.stop(name, side);
  return { reached, go: wake };
};
const hold = async (world: World, stage: Stage): Promise<Stay> =>
  atTarget(await world.actor.target.hold("issue", stage), stage === "executing");
const targetFails = () => new RetryableFailure("the target did not answer");

const diesAt =
  (name: string, side: Side, active = 0) =>
  (world: World) =>
    diesWhileIssuing(world, stay(world, name, side), { active });
const sleepsAt =
  (name: string, side: Side, kept = false) =>
  (world: World) =>
    sleepsWhileIssuing(world, () => stay(world, name, side), { kept });
const failsAt = (name: string, side: Side, error?: () => Error) => async (world: World) => {
  const reached = world.actor.points.fail(name, side, error?.());
  const heard = await world.ask();
  await reached;
  await nothingIsLeft(world, heard);
};
/** The script's answer is lost with the connection, or it arrives twice: the store sees that it is the same call. */
const onTheWire = (how: "loseReply" | "twice", script: "open-lease" | "activate-lease") => async (world: World) => {
  const reached = world.actor.redis[how](script);
  const heard = await world.ask();
  await reached;
  expect(world.opened.size).toBe(1);
  await opensAndEnds(world, heard);
};
/** The client asks again with the same key while its first request stays there: there is one lease, whoever of them gets it. */
const askedTwice = (name: string, side: Side) => async (world: World) => {
  const first = stay(world, name, side);
  const one = world.ask({ key: "once" });
  await first.reached;
  const other = await world.ask({ key: "once" });
  first.go();
  const both = [await one, other];
  expect(new Set(both.map(({ status }) => status))).toEqual(new Set([201, 409]));
  await world.check({ active: 1 });
  await opensAndEnds(world, both.find(({ status }) => status === 201) ?? other);
};
/** The asker is cut off; the target knows nothing of it and goes on, before the asker's undoing or long after. */
const cutAt = (stage: Stage) => async (world: World) => {
  const held = await world.actor.target.hold("issue", stage);
  const asked = world.ask();
  await held.reached;
  held.cut();
  if (stage !== "sent") held.deliver();
  const heard = await asked;
  held.deliver();
  await world.quiet();
  await nothingIsLeft(world, heard);
};
const refusedAt = (stage: Stage) => async (world: World) => {
  const held = await world.actor.target.hold("issue", stage);
  const asked = world.ask();
  await held.reached;
  await held.refuse();
  await nothingIsLeft(world, await asked);
};
/** The request arrives at the target a second time, then: there is one credential, and its end is the end of both. */
const repeatedAt = (stage: Stage) => async (world: World) => {
  const held = await world.actor.target.hold("issue", stage);
  const asked = world.ask();
  await held.reached;
  const again = stage === "sent" ? undefined : held.again();
  held.deliver();
  const heard = await asked;
  await again;
  if (stage !== "sent") return opensAndEnds(world, heard);
  await opensAndEnds(world, heard);
  await held.again(); // the copy comes when all is over
  await world.check({ active: 0 });
};

/** The answer stays on its way to the client. */
const answerHeld = (at: "start" | "half") => (world: World) => {
  const held = world.actor.http.hold(at);
  return { reached: held.reached, go: () => held.deliver(), cut: () => held.cut() };
};
const answerDies = (at: "start" | "half") => async (world: World) => {
  const held = answerHeld(at)(world);
  const asked = world.ask();
  await held.reached;
  const dying = world.crash();
  held.cut();
  await dying;
  expect(await asked).toEqual({ status: "broken" });
  await world.later(PENDING_OVER);
  await world.check({ active: 1 }); // durable, and nobody has it: it ends with its task, or by itself
};
/** Late, but before the lease's end it still works; after it, the secret that arrives opens nothing. */
const answerLate = (at: "start" | "half") => async (world: World) => {
  await sleepsWhileIssuing(world, () => answerHeld(at)(world), { kept: true });
  const held = answerHeld(at)(world);
  const asked = world.ask();
  await held.reached;
  await world.later(600_000);
  held.go();
  const heard = await asked;
  expect(heard.status).toBe(201);
  expect(await world.target.opens(credentialIn(heard).credential)).toBe(false);
  await world.check({ active: 0 });
};
/** The client asks again with its key: it is told which lease it has, and ends it. */
const answerLost = (at: "start" | "half") => async (world: World) => {
  const held = answerHeld(at)(world);
  const asked = world.ask({ key: "lost" });
  await held.reached;
  held.cut();
  expect(await asked).toEqual({ status: "broken" });
  const again = await world.ask({ key: "lost" });
  expect(again).toMatchObject({ status: 409, body: { code: "already_issued", lease_id: [...world.opened][0] } });
  const [lease] = world.opened;
  if (lease === undefined) throw new Error("no lease");
  expect(await world.release(lease)).toMatchObject({ status: 200 });
  await world.check({ active: 0 });
};

export const ISSUING: readonly Point[] = [
  {
    id: "CP1",
    what: "before the lease is opened",
    atTarget: false,
    rows: {
      crash: diesAt("leases.open", "before"),
      pause: async (world) => {
        const short = stay(world, "leases.open", "before");
        const first = world.ask();
        await short.reached;
        await world.later(5_000);
        short.go();
        await opensAndEnds(world, await first);
        // Opened with an instant long past: due at once, so nothing is handed out.
        const long = stay(world, "leases.open", "before");
        const second = world.ask();
        await long.reached;
        await meanwhile(world, long, PENDING_OVER);
        long.go();
        await nothingIsLeft(world, await second);
      },
      error: failsAt("leases.open", "before"),
      "lost reply": "nothing was sent, so no reply can be lost; a reply to what was sent is CP2",
      duplicate: askedTwice("leases.open", "before"),
    },
  },
  {
    id: "CP2",
    what: "the lease is opened, the reply unseen",
    atTarget: false,
    rows: {
      crash: diesAt("leases.open", "after"),
      pause: sleepsAt("leases.open", "after"),
      error: failsAt("leases.open", "after"),
      "lost reply": onTheWire("loseReply", "open-lease"),
      duplicate: onTheWire("twice", "open-lease"),
    },
  },
  {
    id: "CP3",
    what: "the lease is pending, nothing sent to the target",
    atTarget: true,
    rows: {
      crash: diesAt("issuer.issue", "before"),
      pause: sleepsAt("issuer.issue", "before"),
      error: failsAt("issuer.issue", "before", targetFails),
      "lost reply": "nothing was sent, so no reply can be lost; a reply to what was sent is CP6",
      duplicate: async (world) => {
        // Two actors make the credential of one lease: the target lets one of them.
        const reached = world.actor.points.twice("issuer.issue");
        const heard = await world.ask();
        await reached;
        if (heard.status === 201) await opensAndEnds(world, heard);
        else await nothingIsLeft(world, heard);
      },
    },
  },
  {
    id: "CP4",
    what: "bytes are sent, the target has not begun",
    atTarget: true,
    rows: {
      crash: (world) => diesWhileIssuing(world, hold(world, "sent")),
      pause: (world) => sleepsWhileIssuing(world, () => hold(world, "sent")),
      error: refusedAt("sent"),
      "lost reply": cutAt("sent"),
      duplicate: repeatedAt("sent"),
    },
  },
  {
    id: "CP5",
    what: "the target is executing",
    atTarget: true,
    rows: {
      crash: (world) => diesWhileIssuing(world, hold(world, "executing")),
      pause: (world) => sleepsWhileIssuing(world, () => hold(world, "executing")),
      error: refusedAt("executing"),
      "lost reply": cutAt("executing"),
      duplicate: repeatedAt("executing"),
    },
  },
  {
    id: "CP6",
    what: "the target has committed, the reply unseen",
    atTarget: true,
    rows: {
      crash: (world) => diesWhileIssuing(world, hold(world, "committed")),
      pause: (world) => sleepsWhileIssuing(world, () => hold(world, "committed")),
      error: refusedAt("committed"),
      "lost reply": cutAt("committed"),
      duplicate: repeatedAt("committed"),
    },
  },
  {
    id: "CP7",
    what: "the target's reply is seen, the lease not yet activated",
    atTarget: true,
    rows: {
      crash: diesAt("leases.activate", "before"),
      pause: sleepsAt("leases.activate", "before"),
      error: failsAt("leases.activate", "before"),
      "lost reply": "nothing was sent since the target's reply, and that one was seen; the activation's reply is CP8",
      duplicate: askedTwice("leases.activate", "before"),
    },
  },
  {
    id: "CP8",
    what: "the lease is activated, the reply unseen",
    atTarget: true,
    rows: {
      crash: diesAt("leases.activate", "after", 1),
      pause: sleepsAt("leases.activate", "after", true),
      error: failsAt("leases.activate", "after"),
      "lost reply": onTheWire("loseReply", "activate-lease"),
      duplicate: onTheWire("twice", "activate-lease"),
    },
  },
  {
    id: "CP9",
    what: "the lease is active, the answer not yet out",
    atTarget: true,
    rows: {
      crash: answerDies("start"),
      pause: answerLate("start"),
      error: async (world) => {
        // What is noted beside the answer cannot be noted: the answer does not hang on it.
        const reached = world.actor.points.fail("leases.noteCredential", "before");
        const heard = await world.ask();
        await reached;
        await opensAndEnds(world, heard);
      },
      "lost reply": answerLost("start"),
      duplicate: async (world) => {
        const held = answerHeld("start")(world);
        const one = world.ask({ key: "twice" });
        await held.reached;
        expect(await world.ask({ key: "twice" })).toMatchObject({ status: 409, body: { code: "already_issued" } });
        held.go();
        await opensAndEnds(world, await one);
      },
    },
  },
  {
    id: "CP10",
    what: "half of the answer is out",
    atTarget: false,
    rows: {
      crash: answerDies("half"),
      pause: answerLate("half"),
      error: async (world) => {
        // The client goes away in the middle of its answer.
        const held = answerHeld("half")(world);
        const gone = new AbortController();
        const asked = world.ask({ signal: gone.signal });
        await held.reached;
        gone.abort();
        held.cut();
        expect(await asked).toEqual({ status: "broken" });
        await world.check({ active: 1 });
        await world.later(600_000 + CLAIM_OVER);
        await world.check({ active: 0 });
      },
      "lost reply": answerLost("half"),
      duplicate: "the bytes of one answer are never sent twice; a request that is, is CP9",
    },
  },
];
