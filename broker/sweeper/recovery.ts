import type { Lease } from "../../domain/lease.ts";
import { describe } from "../background.ts";
import { inParallel } from "../leases/end.ts";
import type { Parts } from "../parts.ts";
import type { Calls } from "./calls.ts";

const PAGE = 100;
const AT_ONCE = 8;

/** What waits after failures at a target that works again is tried then, and not when its last failure would have had it tried. */
export interface Recovery {
  /** It says that it is well: one lease of those that wait is tried, to see. */
  tryOne(target: string): void;
  /** A call succeeded there after so many failures that it was left alone: all that wait are tried. */
  tryAll(target: string): void;
}

export function createRecovery(
  parts: Pick<Parts, "store" | "log" | "background" | "onHold">,
  calls: Pick<Calls, "take" | "giveBack">,
): Recovery {
  const running = new Set<string>();

  /** Those that were put off, a page at a time. What was never tried is claimed and due again by itself within a minute. */
  async function* putOff(target: string): AsyncGenerator<readonly Lease[]> {
    for (const state of ["revoking", "stuck"]) {
      let cursor: string | undefined;
      do {
        const page = await parts.store.leases.list({ issuer: target, state }, cursor, PAGE);
        yield page.items.filter(({ attempts }) => attempts > 0);
        cursor = page.nextCursor;
      } while (cursor !== undefined);
    }
  }

  async function take({ id }: Lease): Promise<void> {
    const due = await parts.store.leases.claim(id);
    if (due !== undefined) calls.take([due]); // what finds no room is due again in a minute
  }

  async function tryThem(target: string, most: number): Promise<void> {
    let tried = 0;
    for await (const page of putOff(target)) {
      const now = page.slice(0, most - tried);
      await inParallel(now, AT_ONCE, take);
      tried += now.length;
      if (tried >= most) break;
    }
    if (tried > 0) parts.log.info({ target, leases: tried }, "a target answers again: what waited for it is tried now");
  }

  function begin(target: string, most: number): void {
    const name = `${target} ${most}`;
    if (running.has(name) || parts.onHold()) return;
    running.add(name);
    parts.background.run("try what waits for a target", async () => {
      try {
        if (most > 1) await calls.giveBack(target);
        await tryThem(target, most);
      } catch (error) {
        parts.log.warn({ target, error: describe(error) }, "what waits for a target that answers again is tried at its own pace");
      } finally {
        running.delete(name);
      }
    });
  }

  return { tryOne: (target) => begin(target, 1), tryAll: (target) => begin(target, Number.POSITIVE_INFINITY) };
}
