import { absentTarget } from "./absent-target.ts";
import { rolesDueAtOnce } from "./due-roles.ts";
import type { Fault } from "./fault.ts";
import { halfOpen, nastyBodies } from "./hostile-connections.ts";
import { lateCreate } from "./late-create.ts";
import { noisyRevocation, noisyWorkload } from "./neighbours.ts";
import { rollingRestart } from "./rolling-restart.ts";
import { hungStore, slowStore } from "./slow-store.ts";
import { killedBroker, stoppedBrokers } from "./stopped-brokers.ts";
import { STORE_FAULTS } from "./store-faults.ts";

/** What happens to brokers, and what callers do to them. */
export const BROKER_FAULTS: readonly Fault[] = [
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

/** What targets do to us. */
export const TARGET_FAULTS: readonly Fault[] = [lateCreate, absentTarget, rolesDueAtOnce];

const number = ({ id }: Fault): number => Number(id.slice(1));

/** Every fault (F) and attack (A) that has a run of its own, in the order of docs/faults.md. */
export const FAULTS: readonly Fault[] = [...BROKER_FAULTS, ...STORE_FAULTS, ...TARGET_FAULTS].toSorted(
  (one, other) => other.id.charCodeAt(0) - one.id.charCodeAt(0) || number(one) - number(other),
);
