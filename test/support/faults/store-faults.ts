import { clockJumps } from "./clock-jumps.ts";
import { dueAtOnce } from "./due-at-once.ts";
import { failover } from "./failover.ts";
import type { Fault } from "./fault.ts";
import { fullDisk } from "./full-disk.ts";
import { fullMemory } from "./full-memory.ts";
import { goneBack } from "./gone-back.ts";
import { killSwitch } from "./kill-switch.ts";
import { killedRedis } from "./killed-redis.ts";
import { lostReplies } from "./lost-replies.ts";
import { refusingRedis } from "./refusing-redis.ts";
import { reshard } from "./reshard.ts";
import { unfitRedis } from "./unfit-redis.ts";

/** What Redis, and those who look after it, can do to us. */
export const STORE_FAULTS: readonly Fault[] = [
  killedRedis,
  lostReplies,
  failover,
  fullMemory,
  unfitRedis,
  refusingRedis,
  clockJumps,
  dueAtOnce,
  killSwitch,
  fullDisk,
  goneBack,
  reshard,
];
