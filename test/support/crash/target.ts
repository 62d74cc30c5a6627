import type { LeaseId } from "../../../domain/ids.ts";
import type { IssuerKind } from "../../../domain/target.ts";

export type Verb = "issue" | "revoke";
/** On its way and not begun; in the middle, with what it holds locked; done, and the answer on its way back. */
export type Stage = "sent" | "executing" | "committed";

/** A call that is held at the target. Whatever becomes of the asker, the target goes on when it is let go. */
export interface Held {
  readonly reached: Promise<void>;
  /** Goes on as if nothing had been; the answer arrives if somebody is left to hear it. */
  deliver(): void;
  /** The asker hears that the connection broke. The target knows nothing of that, and goes on when it is let go. */
  cut(): void;
  /** The target answers with an error: instead of doing it, or (committed) although it did. */
  refuse(): Promise<void>;
  /** The very same request arrives once more. Resolves when the target has answered to that. */
  again(): Promise<void>;
}

/** What one broker has of a target. */
export interface Wire extends AsyncDisposable {
  readonly kind: IssuerKind;
  /** Documents of the target, as this broker reaches it. */
  readonly documents: string;
  /** The next call of this verb stays there. */
  hold(verb: Verb, stage: Stage): Promise<Held>;
  /** The asker's process is gone: its ends of the connections close. */
  die(): void;
}

/** A real thing at which credentials are made, and what can be seen of it without any broker. */
export interface CrashTarget extends AsyncDisposable {
  readonly variables: Readonly<Record<string, string>>;
  connect(): Promise<Wire>;
  /** Leases whose credential exists. */
  alive(): Promise<readonly LeaseId[]>;
  /** Whether this credential, as a workload was given it, opens the door. */
  opens(credential: Readonly<Record<string, unknown>>): Promise<boolean>;
  /** Whether somebody waits there for what a held call has locked. */
  contended(): Promise<boolean>;
  /** Something of ours appears of which no lease tells. */
  leave(lease: LeaseId, broker: string): Promise<void>;
}
