import { StintError } from "../../domain/errors.ts";
import { firstLine } from "../background.ts";
import type { Breakers } from "../sweeper/breaker.ts";
import type { IssuerRegistry } from "./registry.ts";
import type { TargetWatch } from "./watch.ts";

/** Credentials that one target makes at once; whoever comes then is told to come again rather than queued. */
const AT_ONCE = 64;

/** What came of the call at the target, told by whoever made it. */
export interface TargetCall {
  succeeded(): void;
  failed(error: unknown): void;
}

/** The way to a target for those who want something made there. Each target has its own. */
export interface TargetDoor {
  /** Runs the work when the target may be issued at. Throws `issuer_unavailable` when it may not just now. */
  through<T>(name: string, work: (call: TargetCall) => Promise<T>): Promise<T>;
  /** Credentials being made there now. */
  making(name: string): number;
}

export function createDoor(registry: Pick<IssuerRegistry, "targets">, watch: Pick<TargetWatch, "ready">, breakers: Breakers): TargetDoor {
  const making = new Map<string, number>();
  const count = (name: string): number => making.get(name) ?? 0;
  const busy = (name: string, why: string): StintError =>
    new StintError("issuer_unavailable", `${name} ${why}; nothing was issued`, { retryAfterSeconds: 5 });

  return {
    making: count,
    async through(name, work) {
      if (registry.targets().get(name)?.retired === true) throw busy(name, "is no longer a target of this broker");
      if (count(name) >= AT_ONCE) throw busy(name, "is busy");
      making.set(name, count(name) + 1);
      try {
        await watch.ready(name);
        if (!breakers.allows(name)) throw busy(name, "did not answer several times in a row and is left alone for a moment");
        let told = false;
        const call: TargetCall = {
          succeeded() {
            told = true;
            breakers.succeeded(name);
          },
          failed(error) {
            told = true;
            breakers.failed(name, { what: "issue", error: firstLine(error) });
          },
        };
        try {
          return await work(call);
        } finally {
          if (!told) breakers.notCalled(name);
        }
      } finally {
        making.set(name, count(name) - 1);
      }
    },
  };
}
