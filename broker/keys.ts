import type { Parts } from "./parts.ts";
import { resolveKey } from "./revocations/selector.ts";
import type { Revocations } from "./revocations/service.ts";
import type { KeyService, KeyView } from "./services.ts";

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
