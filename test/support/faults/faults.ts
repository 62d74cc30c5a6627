import type { Fault } from "./fault.ts";
import { rollingRestart } from "./rolling-restart.ts";

/** Every fault and attack that has a run of its own, in the order of docs/faults.md. */
export const FAULTS: readonly Fault[] = [rollingRestart];
