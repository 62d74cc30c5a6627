import { checkTimes } from "./claims.ts";
import { confirmBinding } from "./confirmation.ts";
import { VerifyError, type VerifyReason } from "./errors.ts";
import { Introspector } from "./introspection.ts";
import { Knowledge, type KnowledgeState } from "./knowledge.ts";
import { KnownTokens, type KnownTokensState, type Verified } from "./known-tokens.ts";
import { readOptions, type VerifierOptions, type VerifierSettings } from "./options.ts";
import { presentationOf, type Presentation } from "./presentation.ts";
import { UseReports } from "./reports.ts";
import { StatusLists } from "./status-list.ts";

/** What a verifier knows at the moment. */
export interface VerifierState extends KnowledgeState, KnownTokensState {
  /** Uses of tokens that the broker was not told of. */
  readonly reportsDropped: number;
}

/**
 * Decides, in this order: the token's shape, `typ` and `alg`; the key and the signature; `iss`, `aud` and the other claims; times;
 * the proof of possession; whether it is known to be revoked; whether what is known is fresh enough. What comes up to the claims
 * is kept per token; everything after them is looked at on every request.
 */
export class Verifier {
  readonly #settings: VerifierSettings;
  readonly #tokens: KnownTokens;
  readonly #knowledge: Knowledge;
  readonly #introspector: Introspector;
  readonly #lists: StatusLists | undefined;
  readonly #reports: UseReports | undefined;
  #closed = false;

  constructor(options: VerifierOptions) {
    const settings = readOptions(options);
    this.#settings = settings;
    this.#knowledge = new Knowledge(settings);
    this.#tokens = new KnownTokens(settings, this.#knowledge.revocations.hash);
    this.#introspector = new Introspector(settings);
    this.#lists = settings.revocation === "status_list" ? new StatusLists(settings) : undefined;
    this.#reports = settings.reports ? new UseReports(settings) : undefined;
  }

  get audience(): string {
    return this.#settings.audience;
  }

  get issuer(): string {
    return this.#settings.issuer;
  }

  /** Algorithms and challenges of the proofs it can check, for metadata and answers. */
  get confirmations(): VerifierSettings["confirmations"] {
    return this.#settings.confirmations;
  }

  /** Whether a token, or the one a request carries, is honoured now. Throws VerifyError when it is not, and logs why. */
  async verify(input: string | Request | Presentation): Promise<Verified> {
    let presentation: Presentation | undefined;
    try {
      presentation =
        typeof input === "string" ? { scheme: "Bearer", token: input } : input instanceof Request ? presentationOf(input) : input;
      const verified = await this.#decide(presentation);
      if (presentation.reportsItself !== true) this.used(verified, presentation);
      return verified;
    } catch (error) {
      throw this.#refused(error, presentation);
    }
  }

  /** Counts a use of a token that was honoured; for adapters that learn its route later. */
  used({ payload }: Verified, where: Whence): void {
    this.#reports?.add({ lease: payload.lease_id, at: this.#settings.clock.now(), outcome: "accepted", ...whence(where) });
  }

  /** Logs a refusal; those that come before a token is looked at are handed in by adapters. */
  refused(error: VerifyError): void {
    this.#refused(error, undefined);
  }

  /** Resolves once keys and, with the feed, fresh knowledge of revocations are there. */
  async ready(signal?: AbortSignal): Promise<void> {
    for (;;) {
      signal?.throwIfAborted();
      if (this.#closed) throw new VerifyError("closed");
      const keys = await this.#tokens.prepare().then(
        () => true,
        () => false,
      );
      if (keys && this.#knowledge.isFresh()) return;
      await this.#knowledge.change(signal);
    }
  }

  state(): VerifierState {
    return { ...this.#knowledge.state(), ...this.#tokens.state(), reportsDropped: this.#reports?.dropped ?? 0 };
  }

  /** Ends the feed and sends the last reports; from then on everything is refused. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#tokens.clear();
    await Promise.all([this.#knowledge.close(), this.#reports?.close()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #decide(presentation: Presentation): Promise<Verified> {
    if (this.#closed) throw new VerifyError("closed");
    const { clock, toleranceSeconds, confirmations } = this.#settings;
    const known = await this.#tokens.read(presentation.token);
    const { verified, checked, hash, marked } = known;
    checkTimes(checked.claims, clock, toleranceSeconds, this.#knowledge.asOf);
    const bound = checked.binding !== undefined || presentation.scheme !== "Bearer";
    const headers = bound ? await confirmBinding(confirmations, checked.binding, checked.claims, presentation) : undefined;
    const reason = this.#knowledge.revocations.reasonFor(hash, marked);
    if (reason !== undefined) {
      this.#tokens.forget(known);
      throw new VerifyError("revoked", {
        lease: checked.lease.text,
        detail: reason === "lease" ? "its lease has ended" : `by a mark on ${reason}`,
      });
    }
    const mustAsk = this.#mustAsk(checked.lease.text);
    if (this.#lists !== undefined) await this.#lists.check(checked.claims);
    if (mustAsk) await this.#introspector.check(presentation.token, checked.lease.text);
    return headers === undefined ? verified : { ...verified, headers };
  }

  /** Whether the broker has to be asked. Throws `stale` where nothing may be honoured. */
  #mustAsk(lease: string): boolean {
    const { revocation, onStale } = this.#settings;
    if (revocation !== "feed") return revocation === "introspection";
    if (this.#knowledge.isFresh()) return false;
    if (onStale === "introspect") return true;
    throw new VerifyError("stale", { lease, headers: { "retry-after": "1" } });
  }

  #refused(error: unknown, presentation: Presentation | undefined): unknown {
    if (!(error instanceof VerifyError)) return error;
    const { reason, message, lease } = error;
    const { clock, log } = this.#settings;
    if (reason === "query_token")
      log({
        level: "warn",
        event: "query_token",
        message: "an access token came in a URL: whoever sent it must stop, and the token be revoked",
        reason,
      });
    else
      log({
        level: reason === "no_token" ? "info" : "warn",
        event: "refused",
        message: `a request was refused: ${message}`,
        reason,
        lease,
      });
    if (lease !== undefined && presentation !== undefined)
      this.#reports?.add({ lease, at: clock.now(), outcome: ENDED.has(reason) ? "ended" : "refused", ...whence(presentation) });
    return error;
  }
}

/** Reasons that say that the token was met after its end. */
const ENDED: ReadonlySet<string> = new Set<VerifyReason>(["revoked", "inactive", "expired"]);

type Whence = Pick<Presentation, "route" | "source">;
const whence = ({ route, source }: Whence): Whence => ({ route, source });

/** A verifier of the broker's access tokens. With the feed it connects at once; `await verifier.ready()` before serving. */
export const createVerifier = (options: VerifierOptions): Verifier => new Verifier(options);
