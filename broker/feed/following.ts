import type { Clock } from "../../domain/time.ts";
import type { FeedStore } from "../../store/api.ts";
import { Follower, type FollowerListener } from "./follower.ts";

/** Heartbeats go round in this many steps a second, so that a thousand readers are not written to in one breath. */
export const STEPS = 10;
const STEP_MS = 100;

/** A follower with its timer and its hints. */
export interface Following {
  readonly follower: Follower;
  stop(): Promise<void>;
}

/** Starts to follow; `beat` is called ten times a second, at step 0 all buckets are looked at. Throws `store_unavailable`. */
export async function startFollowing(
  feed: FeedStore,
  now: Clock,
  listener: FollowerListener,
  beat: (step: number) => void,
): Promise<Following> {
  let follower: Follower | undefined;
  // Hints before positions: what ends in between is then read at once, not a second later.
  const stopHints = await feed.hints((hint) => void follower?.hear(hint));
  try {
    const started = await Follower.start(feed, now, listener);
    follower = started;
    let step = 0;
    const timer = setInterval(() => {
      step = (step + 1) % STEPS;
      if (step === 0) void started.look();
      beat(step);
    }, STEP_MS);
    timer.unref();
    return {
      follower: started,
      async stop() {
        clearInterval(timer);
        await stopHints();
      },
    };
  } catch (error) {
    await stopHints();
    throw error;
  }
}
