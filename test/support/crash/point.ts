import { setTimeout as pause } from "node:timers/promises";
import { expect } from "@jest/globals";
import type { Heard } from "./http-wire.ts";
import type { Held } from "./target.ts";
import { CLAIM_OVER, credentialIn, PENDING_OVER, type World } from "./world.ts";

export const FAULTS = ["crash", "pause", "error", "lost reply", "duplicate"] as const;
export type FaultName = (typeof FAULTS)[number];
/** What happens; or why the two together mean nothing. */
export type Row = ((world: World) => Promise<void>) | string;

/** A moment at which something may go wrong, and what is made of that. */
export interface Point {
  readonly id: string;
  readonly what: string;
  /** It lies at the target, or a target's answer decides what comes of it: told against a real Postgres too. */
  readonly atTarget: boolean;
  readonly rows: Readonly<Record<FaultName, Row>>;
}

/** Where a flow stays, and how it is let go. */
export interface Stay {
  readonly reached: Promise<void>;
  readonly go: () => void;
  /** Meanwhile the target holds something locked: whoever ends the lease waits for it. */
  readonly locks?: boolean;
}

export const atTarget = (held: Held, locks = false): Stay => ({ reached: held.reached, go: () => held.deliver(), locks });

/** Time passes and the survivor sweeps, while the flow stays; with a lock held, the sweep can only come to its end when it is let go. */
export async function meanwhile(world: World, stay: Stay, ms: number): Promise<void> {
  let over = false;
  const swept = world.later(ms).finally(() => (over = true));
  if (stay.locks === true) {
    while (!over && !(await world.target.contended())) await pause(5);
    stay.go();
  }
  await swept;
}

/** The broker dies there. What it had sent arrives after others have swept; nothing of it may come to life. */
export async function diesWhileIssuing(
  world: World,
  at: Stay | Promise<Stay>,
  { active = 0 }: { readonly active?: number } = {},
): Promise<void> {
  const stay = await at;
  const asked = world.ask();
  await stay.reached;
  await world.crash();
  expect(await asked).toEqual({ status: "broken" });
  await meanwhile(world, stay, PENDING_OVER);
  stay.go();
  await world.quiet();
  await world.later(CLAIM_OVER);
  await world.check({ active });
}

/**
 * The broker sleeps there: for five seconds, and then whoever asked has a credential that works; in another try for so long that others
 * have taken the lease away, and then waking changes nothing (I7). `kept`: the lease was active by then, and stays.
 */
export async function sleepsWhileIssuing(
  world: World,
  at: () => Stay | Promise<Stay>,
  { kept = false }: { readonly kept?: boolean } = {},
): Promise<void> {
  const short = await at();
  const first = world.ask();
  await short.reached;
  await world.later(5_000);
  short.go();
  await opensAndEnds(world, await first);

  const long = await at();
  const second = world.ask();
  await long.reached;
  await meanwhile(world, long, PENDING_OVER);
  const before = await world.snapshot();
  long.go();
  const heard = await second;
  await world.actor.broker.settled();
  if (kept) return opensAndEnds(world, heard);
  expect(heard.status).not.toBe(201);
  if (long.locks !== true) expect(await world.snapshot()).toEqual(before);
  await world.check({ active: 0 });
}

/** Whoever asked has a credential that works, until it is released. */
export async function opensAndEnds(world: World, heard: Heard): Promise<void> {
  expect(heard).toMatchObject({ status: 201 });
  const { lease, credential } = credentialIn(heard);
  expect(await world.target.opens(credential)).toBe(true);
  await world.check({ active: 1 });
  expect(await world.release(lease)).toMatchObject({ status: 200 });
  await world.actor.broker.settled();
  expect(await world.target.opens(credential)).toBe(false);
  await world.check({ active: 0 });
}

/** Nobody got anything, and nothing is left after one sweep. */
export async function nothingIsLeft(world: World, heard: Heard): Promise<void> {
  expect(heard.status).not.toBe(201);
  await world.actor.broker.settled();
  await world.later(PENDING_OVER);
  await world.check({ active: 0 });
}
