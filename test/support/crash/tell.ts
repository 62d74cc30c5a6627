import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { FAULTS, type Point } from "./point.ts";
import type { CrashTarget } from "./target.ts";
import { World } from "./world.ts";

/** Every point with every fault, one after the other in one world; what must always hold is looked at after each. */
export function tell(name: string, open: () => Promise<CrashTarget>, points: readonly Point[]): void {
  describe(`with ${name} as target`, () => {
    let target: CrashTarget;
    let world: World;
    let spoilt = false;
    const create = async (): Promise<void> => {
      target = await open();
      world = await World.open(target);
      spoilt = false;
    };
    const destroy = async (): Promise<void> => {
      await world[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
    };
    beforeAll(create, 120_000);
    afterAll(destroy);

    for (const { id, what, rows } of points) {
      for (const fault of FAULTS) {
        const row = rows[fault];
        if (typeof row === "string") {
          it(`${id} ${what} / ${fault}: means nothing: ${row}`, () => expect(row).not.toBe(""));
          continue;
        }
        it(`${id} ${what} / ${fault}`, async () => {
          // What one story left undone must not be laid to the next one.
          if (spoilt) await destroy().then(create);
          spoilt = true;
          await world.begin();
          await row(world);
          await world.finish();
          spoilt = false;
        }, 60_000);
      }
    }
  });
}
