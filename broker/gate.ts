import { StintError } from "../domain/errors.ts";

/** Why nothing may be issued just now. Ending goes on whatever they say. */
export interface GateReadings {
  readonly draining: () => boolean;
  readonly onHold: () => boolean;
  /** False when the store has not told the time lately, so that clocks cannot be compared. */
  readonly storeHeard: () => boolean;
  readonly clockAgrees: () => boolean;
  /** False while records cannot be written to the audit files, or wait for longer than a minute. */
  readonly auditHealthy: () => boolean;
  /** False on a Redis that may evict. */
  readonly storeSafe: () => boolean;
}

/** Asked before every issue, renewal and new task. */
export interface Gate {
  /** Throws `on_hold`, `clock_disagrees`, `audit_unavailable` or `store_unavailable`; nothing was decided or spent. */
  require(): void;
}

/** Fails closed: one reading that says no is enough. */
export function createGate(readings: GateReadings): Gate {
  return {
    require() {
      if (readings.draining())
        throw new StintError("store_unavailable", "this broker is shutting down; ask again", { retryAfterSeconds: 1 });
      if (!readings.storeSafe())
        throw new StintError("store_unavailable", "the store may lose records; nothing is issued until that is mended", {
          retryAfterSeconds: 30,
        });
      if (readings.onHold())
        throw new StintError("on_hold", "the broker is on hold: nothing is issued until an admin clears it", { retryAfterSeconds: 30 });
      if (!readings.storeHeard())
        throw new StintError("store_unavailable", "the store has not answered for a while", { retryAfterSeconds: 2 });
      if (!readings.clockAgrees())
        throw new StintError("clock_disagrees", "the clocks of broker and store disagree; nothing is issued until they agree", {
          retryAfterSeconds: 5,
        });
      if (!readings.auditHealthy())
        throw new StintError("audit_unavailable", "the audit trail cannot be written; nothing is issued until it can", {
          retryAfterSeconds: 5,
        });
    },
  };
}
