import type { StoreFacts } from "../../store/api.ts";
import type { BrokerEvent } from "../events.ts";
import type { Snapshot } from "../telemetry/together.ts";

/** What a worker says of itself once it serves. */
export interface Serving {
  readonly store: string;
  readonly facts: StoreFacts;
}

/** What the workers of a broker have counted together, without the one that asks. */
export interface Gathered {
  readonly others: readonly Snapshot[];
  readonly serving: number;
  /** Workers that ended unasked. */
  readonly lost: number;
}

/** From the primary process to a worker. */
export type ToWorker =
  /** The answer to `here`: where the embedded Redis listens, if there is one. */
  | { readonly say: "begin"; readonly socketPath: string | undefined }
  | { readonly say: "reload" }
  | { readonly say: "stop" }
  | { readonly say: "alive?" }
  | { readonly say: "count"; readonly id: number }
  | ({ readonly say: "gathered"; readonly id: number } & Gathered)
  /** Whether somebody watches events at another worker. */
  | { readonly say: "watched"; readonly watched: boolean }
  | { readonly say: "event"; readonly event: BrokerEvent };

/** From a worker to the primary process. */
export type FromWorker =
  /** The first message: from now on it listens. */
  | { readonly say: "here" }
  | ({ readonly say: "serving" } & Serving)
  /** It cannot serve: the whole start fails if it is the first. */
  | { readonly say: "failed"; readonly exitCode: number; readonly message: string }
  | { readonly say: "alive" }
  | { readonly say: "counted"; readonly id: number; readonly snapshot: Snapshot }
  /** Asks what all have counted, and tells what it has itself: whoever ends next leaves no less than was shown. */
  | { readonly say: "gather"; readonly id: number; readonly snapshot: Snapshot }
  | { readonly say: "watched"; readonly watched: boolean }
  | { readonly say: "event"; readonly event: BrokerEvent }
  /** The last message: what it has counted, for good. */
  | { readonly say: "ended"; readonly snapshot: Snapshot };

/** Both ends are this version of this program; anything else on the channel is not ours. */
export const isMessage = (value: unknown): value is { readonly say: string } =>
  typeof value === "object" && value !== null && "say" in value && typeof value.say === "string";
