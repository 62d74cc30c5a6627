import type { Issuer } from "../domain/credential.ts";
import type { DecisionInput, DecisionTrace, DenialView } from "../domain/decision.ts";
import type { Principal } from "../domain/principal.ts";
import type { Secret } from "../domain/secret.ts";
import type { Clock } from "../domain/time.ts";
import type { Store } from "../store/api.ts";
import type { EventBus } from "./events.ts";
import type { Gate } from "./gate.ts";
import type { Grant, Policy } from "./policy/policy.ts";
import type { OwnSignatures } from "./tasks/token.ts";

/** What the services write to the log with: a constant message, data as fields. Secrets print as [redacted]. */
export interface Log {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** A decision as the services use it. */
export type Verdict =
  | { readonly allowed: true; readonly grant: Grant; readonly rule: string; readonly scope: readonly string[]; readonly letThrough: boolean }
  | { readonly allowed: false; readonly view: DenialView; readonly trace: DecisionTrace | undefined };

/** Pure: the same policy and input give the same verdict. */
export type Decide = (policy: Policy, input: DecisionInput) => Verdict;

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
  readonly decide: Decide;
  /** Who presents this outside evidence; throws `StintError`. */
  readonly attest: (evidence: Secret) => Promise<Principal>;
  /** By kind, as a grant's `issue.issuer` names them. */
  readonly issuers: ReadonlyMap<string, Issuer>;
  /** Id of the key that would sign for these issue settings now; undefined when nothing is signed. */
  readonly keyIdFor: (issuer: Issuer, params: unknown) => string | undefined;
  readonly signatures: OwnSignatures;
  readonly sealer: HandleSealer;
  readonly gate: Gate;
  readonly events: EventBus;
  readonly log: Log;
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
