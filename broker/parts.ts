import type { Meter } from "./telemetry/meter.ts";
import type { Issuer } from "../domain/credential.ts";
import type { Lease } from "../domain/lease.ts";
import type { Principal } from "../domain/principal.ts";
import type { Secret } from "../domain/secret.ts";
import type { Clock } from "../domain/time.ts";
import type { Store } from "../store/api.ts";
import type { EventBus } from "./events.ts";
import type { Facts } from "./feed/facts.ts";
import type { Gate } from "./gate.ts";
import type { Policy } from "./policy/policy.ts";
import type { TargetDoor } from "./targets/door.ts";
import type { Ender } from "./targets/places.ts";
import type { StatusLists } from "./status-list/service.ts";
import type { OwnSignatures } from "./tasks/token.ts";

/** What the services write to the log with: a constant message, data as fields. Secrets print as [redacted]. */
export interface Log {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** Seals what an issuer needs to revoke later, bound to its lease. */
export interface HandleSealer {
  seal(leaseId: string, handle: Secret): string;
  /** Throws when it was not sealed here. */
  open(leaseId: string, sealed: string): Secret;
}

/** Everything that services are made of; each takes only what it names. `compose.ts` puts it together. */
export interface Parts {
  readonly url: string;
  readonly store: Store;
  /** The broker's estimate of the store's time: what leases, tasks and tokens are stamped with. */
  readonly now: Clock;
  readonly policy: () => Policy;
  /** Who presents this outside evidence; throws `StintError`. */
  readonly attest: (evidence: Secret) => Promise<Principal>;
  /** By kind, as a grant's `issue.issuer` names them. */
  readonly issuers: ReadonlyMap<string, Issuer>;
  /** Who can end this lease's credential where it was made; throws `PermanentFailure` where nobody can. */
  readonly enderOf: (lease: Pick<Lease, "issuer" | "terms">, hasHandle: boolean) => Ender;
  /** The way to targets for those who want something made there. */
  readonly door: TargetDoor;
  /** What decisions may weigh of the targets: `targets.NAME.password_age` (seconds) and `reachable`. */
  readonly posture: () => Readonly<Record<string, unknown>>;
  readonly signatures: OwnSignatures;
  /** Reads the signing keys anew: another broker has withdrawn one that this one still knows. */
  readonly refreshKeys: () => Promise<void>;
  readonly sealer: HandleSealer;
  readonly statusLists: StatusLists;
  readonly gate: Gate;
  /** While it holds, targets are not called: what must be revoked there waits and is listed. */
  readonly onHold: () => boolean;
  readonly events: EventBus;
  readonly log: Log;
  /** Told how long things take. */
  readonly meter: Meter;
  /** When what verifiers check was dead. */
  readonly facts: Facts;
  readonly background: Background;
  /** Between 0 and 1; jitter only. */
  readonly random: () => number;
}

/** Work that an answer does not wait for, but a drain does. Errors are logged. */
export interface Background {
  run(name: string, work: () => Promise<void>): void;
  /** Resolves when nothing is running any more, or after the time. */
  settle(withinMs: number): Promise<void>;
  readonly size: number;
}
