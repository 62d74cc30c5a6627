import type { Fault } from "./fault.ts";
import { halfOpen, nastyBodies } from "./hostile-connections.ts";
import { noisyRevocation, noisyWorkload } from "./neighbours.ts";
import { rollingRestart } from "./rolling-restart.ts";
import { hungStore, slowStore } from "./slow-store.ts";
import { killedBroker, stoppedBrokers } from "./stopped-brokers.ts";

/** Every fault and attack that has a run of its own, in the order of docs/faults.md. */
export const FAULTS: readonly Fault[] = [
  killedBroker,
  hungStore,
  slowStore,
  stoppedBrokers,
  rollingRestart,
  nastyBodies,
  halfOpen,
  noisyWorkload,
  noisyRevocation,
];
