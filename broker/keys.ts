import type { Operator, Origin } from "./callers.ts";
import type { Parts } from "./parts.ts";
import type { Revocation } from "./revocations/api.ts";
import { resolveKey } from "./revocations/selector.ts";
import type { Revocations } from "./revocations/service.ts";

/** A signing key as operators see it: never the private part. */
export interface KeyView {
  readonly kid: string;
  readonly alg: string;
  readonly state: "announced" | "active" | "retired" | "destroyed" | "withdrawn";
  readonly createdAt: number;
  readonly activeAt: number | undefined;
  readonly retiredAt: number | undefined;
  readonly destroyAt: number | undefined;
}

export interface KeyService {
  list(): Promise<readonly KeyView[]>;
  /** Announces a successor of this algorithm. It signs once every verifier had time to learn of it (`known`), or as soon as all brokers have it (`now`). */
  rotate(request: {
    readonly alg: string | undefined;
    readonly when: "known" | "now";
    readonly reason: string | undefined;
    readonly operator: Operator;
    readonly origin: Origin;
  }): Promise<readonly KeyView[]>;
  /** Seals private keys and handles anew under the first master key. */
  reseal(operator: Operator, origin: Origin): Promise<{ readonly resealed: number }>;
  /** A compromised key: out of the JWKS at once, every lease it signed is marked. */
  withdraw(
    kid: string,
    operator: Operator,
    reason: string,
    origin: Origin,
  ): Promise<{ readonly keys: readonly KeyView[]; readonly revocation: Revocation | undefined }>;
  /** Public keys, as `/.well-known/jwks.json` serves them. */
  jwks(): Promise<{ readonly keys: readonly Readonly<Record<string, unknown>>[] }>;
}

interface KeyOrder {
  readonly alg: string | undefined;
  readonly by: string;
  readonly reason: string | undefined;
}

/** Signing keys as the store's rotation offers them. */
export interface KeyParts {
  readonly list: () => Promise<readonly KeyView[]>;
  readonly jwks: () => Promise<{ readonly keys: readonly Readonly<Record<string, unknown>>[] }>;
  readonly announceNext: (order: KeyOrder) => Promise<readonly KeyView[]>;
  readonly activateNext: (order: KeyOrder) => Promise<readonly KeyView[]>;
  readonly withdraw: (kid: string, by: string, reason: string) => Promise<readonly KeyView[]>;
  /** Seals private keys under the first master key; how many were under another. */
  readonly reseal: (by: string) => Promise<number>;
}

/** The operators' hand on the signing keys. */
export function createKeys(parts: Pick<Parts, "events">, keys: KeyParts, revocations: Pick<Revocations, "begin">): KeyService {
  return {
    list: keys.list,
    jwks: keys.jwks,
    async rotate({ alg, when, reason, operator }) {
      const order = { alg, reason, by: `operator:${operator.name}` };
      const views = await (when === "now" ? keys.activateNext(order) : keys.announceNext(order));
      parts.events.publish("key.added", { by: operator.name });
      return views;
    },
    async reseal(operator) {
      return { resealed: await keys.reseal(`operator:${operator.name}`) };
    },
    async withdraw(kid, operator, reason, origin) {
      const by = `operator:${operator.name}`;
      // First the key: from then on no new token bears it, and the mark that follows covers all that do.
      const views = await keys.withdraw(kid, by, reason);
      parts.events.publish("key.withdrawn", { kid, by: operator.name });
      const revocation = await revocations.begin(resolveKey(kid), `signing key withdrawn: ${reason}`, by, undefined, origin);
      return { keys: views, revocation };
    },
  };
}
