import type { Clock } from "../domain/time.ts";

/** One thing that happened, as `GET /v1/events` shows it: an audit record's facts without claims. */
export interface BrokerEvent {
  /** Rises by one per broker; a gap after reconnecting means events were missed. */
  readonly id: string;
  readonly at: number;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface EventService {
  /** Events from here on (after `lastId` where it is still held). Returns how to stop. A slow listener is dropped, not waited for. */
  subscribe(listener: (event: BrokerEvent) => void, lastId?: string): () => void;
}

type Listener = (event: BrokerEvent) => void;

/** Events kept for those who come back within a moment. */
const KEPT = 1_000;
/** More listeners than this are refused: each costs work on every event. */
const MAX_LISTENERS = 256;

/** Publishes what happens in this broker to whoever listens; keeps the last thousand events and nothing else. */
export interface EventBus extends EventService {
  publish(type: string, data: Readonly<Record<string, unknown>>): void;
  /** As `subscribe`, but only what was published on this bus, and uncounted: for what the process itself does about events. */
  own(listener: (event: BrokerEvent) => void): () => void;
  /** An event of a process beside this one, for those who watch. */
  receive(event: BrokerEvent): void;
  /** Told whenever the first watcher comes and the last one goes. */
  onWatched(listener: (watched: boolean) => void): void;
}

/**
 * A bounded bus within one process. A listener that throws is dropped: it must never hold up the request that caused the event.
 * Event ids are `<start of this bus>-<count>`, so that a listener who comes back to another broker is not served a wrong past.
 */
export function createEventBus(clock: Clock): EventBus {
  const epoch = clock();
  const kept: BrokerEvent[] = [];
  const listeners = new Set<Listener>();
  const owners = new Set<Listener>();
  let watched: (watched: boolean) => void = () => undefined;
  let count = 0;

  function deliver(listener: Listener, event: BrokerEvent): void {
    try {
      listener(event);
    } catch {
      owners.delete(listener);
      leave(listener);
    }
  }

  function leave(listener: Listener): void {
    if (listeners.delete(listener) && listeners.size === 0) watched(false);
  }

  function show(event: BrokerEvent): void {
    kept.push(event);
    if (kept.length > KEPT) kept.shift();
    for (const listener of listeners) deliver(listener, event);
  }

  return {
    publish(type, data) {
      count += 1;
      const event: BrokerEvent = { id: `${epoch}-${count}`, at: clock(), type, data };
      show(event);
      for (const listener of owners) deliver(listener, event);
    },
    own(listener) {
      owners.add(listener);
      return () => void owners.delete(listener);
    },
    receive: show,
    onWatched: (listener) => void (watched = listener),
    subscribe(listener, lastId) {
      if (listeners.size >= MAX_LISTENERS) throw new RangeError(`more than ${MAX_LISTENERS} listeners`);
      listeners.add(listener);
      if (listeners.size === 1) watched(true);
      const from = lastId === undefined ? -1 : kept.findIndex((event) => event.id === lastId);
      if (from >= 0) for (const event of kept.slice(from + 1)) deliver(listener, event);
      return () => leave(listener);
    },
  };
}
