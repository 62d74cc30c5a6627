/**
 * What the parts of a broker tell of their work while they do it. Durations are in seconds. Labels are closed: presets, trusts,
 * targets and duties come from the configuration and the code, never from a caller.
 */
export interface Meter {
  /** `attestor` is the trust's preset, `none` where no trust was recognised. */
  attestation(attestor: string, outcome: "accepted" | "rejected" | "unavailable", seconds: number): void;
  decision(decision: "allow" | "deny", seconds: number): void;
  /** One script of the store, with all its attempts; `work` is what it does to Redis. */
  storeCall(work: "read" | "open" | "end", outcome: "answered" | "failed", seconds: number): void;
  /** One call at a target. */
  targetCall(target: string, work: "make" | "end", outcome: "done" | "failed", seconds: number): void;
  revocationPropagated(channel: "target", seconds: number): void;
  keysFetchFailed(trust: string): void;
  dutyFailed(duty: string): void;
}

const nothing = (): void => undefined;

/** For brokers that nobody measures. */
export const unmetered: Meter = {
  attestation: nothing,
  decision: nothing,
  storeCall: nothing,
  targetCall: nothing,
  revocationPropagated: nothing,
  keysFetchFailed: nothing,
  dutyFailed: nothing,
};
