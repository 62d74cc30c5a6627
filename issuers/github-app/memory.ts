import type { LeaseId } from "../../domain/ids.ts";

/** Leases remembered at once, the oldest forgotten first; forgetting only means waiting for the hour to pass. */
const MOST = 10_000;

/** What this process knows of leases whose token has no handle: GitHub gives tokens no name by which they could be found. */
export interface Memory {
  /** No living token of this lease is left, or none was ever made. */
  noteGone(lease: LeaseId): void;
  /** Its end was asked for: what is still on its way must not be handed out. */
  noteEnding(lease: LeaseId): void;
  isGone(lease: LeaseId): boolean;
  isEnding(lease: LeaseId): boolean;
}

export function createMemory(most = MOST): Memory {
  const known = new Map<LeaseId, "ending" | "gone">();
  const note = (lease: LeaseId, what: "ending" | "gone"): void => {
    known.delete(lease);
    known.set(lease, what);
    if (known.size > most) for (const oldest of known.keys()) return void known.delete(oldest);
  };
  return {
    noteGone: (lease) => note(lease, "gone"),
    noteEnding: (lease) => {
      if (!known.has(lease)) note(lease, "ending");
    },
    isGone: (lease) => known.get(lease) === "gone",
    isEnding: (lease) => known.has(lease),
  };
}
