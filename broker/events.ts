import type { Clock } from "../domain/time.ts";
import type { BrokerEvent, EventService } from "./services.ts";

/** Events kept for those who come back within a moment. */
const KEPT = 1_000;
/** More listeners than this are refused: each costs work on every event. */
const MAX_LISTENERS = 256;

/** Publishes what happens in this broker to whoever listens; keeps the last thousand events and nothing else. */
export interface EventBus extends EventService {
  publish(type: string, data: Readonly<Record<string, unknown>>): void;
}

/**
 * A bounded bus within one process. A listener that throws is dropped: it must never hold up the request that caused the event.
 * Event ids are `<start of this bus>-<count>`, so that a listener who comes back to another broker is not served a wrong past.
 */
export function createEventBus(clock: Clock): EventBus {
  const epoch = clock();
  const kept: BrokerEvent[] = [];
  const listeners = new Set<(event: BrokerEvent) => void>();
  let count = 0;

  function deliver(listener: (event: BrokerEvent) => void, event: BrokerEvent): void {
    try {
      listener(event);
    } catch {
      listeners.delete(listener);
    }
  }

  return {
    publish(type, data) {
      count += 1;
      const event: BrokerEvent = { id: `${epoch}-${count}`, at: clock(), type, data };
      kept.push(event);
      if (kept.length > KEPT) kept.shift();
      for (const listener of listeners) deliver(listener, event);
    },
    subscribe(listener, lastId) {
      if (listeners.size >= MAX_LISTENERS) throw new RangeError(`more than ${MAX_LISTENERS} listeners`);
      listeners.add(listener);
      const from = lastId === undefined ? -1 : kept.findIndex((event) => event.id === lastId);
      if (from >= 0) for (const event of kept.slice(from + 1)) deliver(listener, event);
      return () => void listeners.delete(listener);
    },
  };
}
