import { startIdp } from "../../test/support/idp.ts";
import { newMasterKey, startMain } from "../../test/support/main-process.ts";
import { startRedis } from "../../test/support/redis.ts";
import { shopDocuments } from "../../test/support/shop.ts";
import { fillWithLeases } from "../../test/support/faults/crowd.ts";
import { figureOf, type Figure } from "./figures.ts";

/** From the start of a broker's process to its first yes at `/readyz`, beside that on a store without leases. */
export interface StartReport {
  readonly leases: number;
  readonly emptyMs: Figure;
  readonly fullMs: Figure;
  /** Of the medians' rounds. */
  readonly ratio: Figure;
  readonly goal: number;
}

export const START_GOAL = 1.1;

export async function measureStarts(options: {
  readonly rounds: number;
  readonly leases: number;
  readonly say: (text: string) => void;
}): Promise<StartReport> {
  await using empty = await startRedis({ args: [] });
  await using full = await startRedis({ args: [] });
  await using idp = await startIdp();
  const masterKey = newMasterKey();
  const startOn = async (redisUrl: string): Promise<number> => {
    const began = performance.now();
    await using main = await startMain({ documents: (url) => shopDocuments(idp, url), redisUrl, masterKey });
    void main;
    return performance.now() - began;
  };
  options.say(`filling a store with ${options.leases} leases`);
  await fillWithLeases({ url: full.url, leases: options.leases, subject: (index) => `github:${Math.floor(index / 100)}` });
  for (const { url } of [empty, full]) await startOn(url); // the first start makes signing keys
  const [emptyMs, fullMs]: [number[], number[]] = [[], []];
  for (let round = 0; round < options.rounds; round += 1) {
    options.say(`starts, round ${round + 1}`);
    emptyMs.push(await startOn(empty.url));
    fullMs.push(await startOn(full.url));
  }
  const ratio = figureOf(fullMs.map((ms, round) => ms / (emptyMs[round] ?? Number.NaN)));
  return { leases: options.leases, emptyMs: figureOf(emptyMs), fullMs: figureOf(fullMs), ratio, goal: START_GOAL };
}
