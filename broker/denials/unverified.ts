import { StintError } from "../../domain/errors.ts";
import { newId } from "../../domain/ids.ts";
import type { DenialRecord } from "../../store/api.ts";
import type { Origin } from "../callers.ts";
import type { Parts } from "../parts.ts";

/** Refusals of unverified evidence that are recorded in one second; the rest are counted. */
const PER_SECOND = 1_000;

/** Refusals before anybody is known. A flood of strangers costs a bounded amount of memory and one write each second. */
export interface Unverified {
  /** Gives the refusal an id and a log line, queues its record, and returns the error for the caller. */
  refuse(error: StintError, origin: Origin): StintError;
  /** Writes what is queued; called every second and on drain. */
  flush(): Promise<void>;
}

/** Only refusals about the evidence are denials; a dependency that failed is not one and passes through as it is. */
export function createUnverified(parts: Pick<Parts, "store" | "now" | "log">): Unverified {
  let queued: DenialRecord[] = [];
  let uncounted = 0;
  return {
    refuse(error, origin) {
      if (error.code === "identity_keys_unavailable" || error.code === "store_unavailable" || error.code === "server_error") return error;
      const id = newId("den", parts.now());
      const { code, message } = error;
      if (queued.length < PER_SECOND) {
        queued.push({
          id,
          at: parts.now(),
          view: { code, message },
          principal: undefined,
          grant: undefined,
          trace: undefined,
          route: origin.route,
          traceId: origin.traceId,
        });
        parts.log.info({ denialId: id, code, ip: origin.ip, traceId: origin.traceId }, "evidence rejected");
      } else uncounted += 1;
      return new StintError(code, message, { ...error.facts, denialId: id }, { cause: error.cause });
    },
    async flush() {
      if (queued.length === 0 && uncounted === 0) return;
      const batch = queued;
      const rest = uncounted;
      queued = [];
      uncounted = 0;
      try {
        await parts.store.denials.recordUnverified(batch, rest);
      } catch (error) {
        // Their callers hold the ids already: they wait for the store, as many as a second may hold.
        const all = [...batch, ...queued];
        queued = all.slice(0, PER_SECOND);
        uncounted += rest + all.length - queued.length;
        throw error;
      }
    },
  };
}
