import type { AudienceStore } from "../../store/api.ts";
import type { Policy } from "../policy/policy.ts";
import type { FormerAudiences } from "./audience.ts";

/**
 * For whom grants issued in the last day. A grant that is given another audience leaves tokens for the old one behind, whose verifiers
 * must hear of their end. Kept in the store, for other brokers and for a broker that starts again.
 */
export class AudienceMemory {
  readonly #store: AudienceStore;
  #known: FormerAudiences = new Map();

  constructor(store: AudienceStore) {
    this.#store = store;
  }

  /** As last read. */
  get known(): FormerAudiences {
    return this.#known;
  }

  /** Writes down what these policies issue for, and reads what all brokers did. At start, at each reload, and now and then. */
  async note(...policies: readonly Pick<Policy, "grants">[]): Promise<void> {
    const pairs = policies.flatMap(({ grants }) =>
      [...grants.values()].flatMap(({ name, issue }) => (issue.audience === undefined ? [] : [[name, issue.audience] as const])),
    );
    await this.#store.remember(pairs);
    this.#known = await this.#store.remembered();
  }
}
