import { StintError } from "../../../domain/errors.ts";
import type { Issuer } from "../../../domain/credential.ts";
import type { IssuerKind } from "../../../domain/target.ts";
import type { OpenedStore } from "../../../store/open.ts";

/** Before the call is made, or when it has had its effect and nobody has seen the answer. */
export type Side = "before" | "after";

/** A place that a broker has come to, and where it stays until it is told how to go on. */
export interface Stop {
  /** Resolves when it is there. */
  readonly reached: Promise<void>;
  wake(): void;
}

type Plan =
  | { readonly how: "stop"; readonly side: Side; readonly stop: Stop & { arrive(): Promise<void> } }
  | { readonly how: "fail"; readonly side: Side; readonly error: Error; readonly reached: () => void }
  | { readonly how: "twice"; readonly reached: () => void };

/**
 * The places of one broker at which something can go wrong. Once the broker has died, nothing that it was about to do is begun, and
 * nothing that it waits for is ever heard of: what was sent before is on its way all the same.
 */
export class Failpoints {
  readonly #plans = new Map<string, { skip: number; readonly plan: Plan }[]>();
  #dead = false;
  /** How often this broker hears each hint that the feed goes on. */
  hears = 1;
  /** What the kernel would do: closes what nobody else closes. */
  readonly atDeath: (() => Promise<void>)[] = [];

  /** As SIGKILL: every flow of this broker ends where it is. */
  async die(): Promise<void> {
    this.#dead = true;
    for (const close of this.atDeath.splice(0)) await close().catch(() => undefined);
  }

  /** The next call of this name (after `skip` others) stops there. */
  stop(name: string, side: Side, skip = 0): Stop {
    let wake: () => void = () => undefined;
    let arrived: () => void = () => undefined;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    const reached = new Promise<void>((resolve) => (arrived = resolve));
    const arrive = (): Promise<void> => {
      arrived();
      return woken;
    };
    this.#plan(name, skip, { how: "stop", side, stop: { reached, wake, arrive } });
    return { reached, wake };
  }

  /** The next call fails: before it has done anything, or after it did it. Resolves when it has. */
  fail(name: string, side: Side, error: Error = lost(), skip = 0): Promise<void> {
    return new Promise((reached) => this.#plan(name, skip, { how: "fail", side, error, reached }));
  }

  /** The next call is made twice at once; the second answer counts. */
  twice(name: string, skip = 0): Promise<void> {
    return new Promise((reached) => this.#plan(name, skip, { how: "twice", reached }));
  }

  async around<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.#dead) return never();
    const plan = this.#take(name);
    if (plan?.how === "stop" && plan.side === "before") await plan.stop.arrive();
    if (this.#dead) return never();
    if (plan?.how === "fail" && plan.side === "before") {
      plan.reached();
      throw plan.error;
    }
    if (plan?.how === "twice") {
      plan.reached();
      void work().catch(() => undefined);
    }
    let outcome: { readonly value: T } | { readonly error: unknown };
    try {
      outcome = { value: await work() };
    } catch (error) {
      outcome = { error };
    }
    if (plan?.how === "stop" && plan.side === "after") await plan.stop.arrive();
    if (this.#dead) return never();
    if (plan?.how === "fail") {
      plan.reached();
      throw plan.error;
    }
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }

  #plan(name: string, skip: number, plan: Plan): void {
    this.#plans.set(name, [...(this.#plans.get(name) ?? []), { skip, plan }]);
  }

  #take(name: string): Plan | undefined {
    const [first, ...rest] = this.#plans.get(name) ?? [];
    if (first === undefined) return undefined;
    if (first.skip > 0) {
      first.skip -= 1;
      return undefined;
    }
    this.#plans.set(name, rest);
    return first.plan;
  }
}

const never = (): Promise<never> => new Promise(() => undefined);
const lost = (): Error => new StintError("store_unavailable", "the store cannot be reached");

const GROUPS = ["leases", "tasks", "audit", "feed", "revocations"] as const;

/** The store as this broker sees it: every call of these groups is a place (`leases.open`), and so are the signing keys (`keys.write`, `keys.hmget`). */
export function watchedStore(store: OpenedStore, points: Failpoints): OpenedStore {
  const groups = GROUPS.map((group) => [group, watched(group, store[group], points)] as const);
  const keep: OpenedStore["keep"] = (key, send) => points.around("keys.write", () => store.keep(key, send));
  const keys = {
    client: watched("keys", store.client, points),
    keep: keep,
  };
  const watching = { ...store, ...Object.fromEntries(groups), ...keys };
  const hints: OpenedStore["feed"]["hints"] = async (listener) => {
    const stop = await store.feed.hints((hint) => {
      for (let times = 0; times < points.hears; times += 1) listener(hint);
    });
    points.atDeath.push(stop);
    return stop;
  };
  return {
    ...watching,
    feed: new Proxy(watching.feed, { get: (feed, name) => (name === "hints" ? hints : Reflect.get(feed, name, feed)) }),
  };
}

function watched<T extends object>(group: string, inner: T, points: Failpoints): T {
  return new Proxy(inner, {
    get(on, name) {
      const value: unknown = Reflect.get(on, name, on);
      if (typeof value !== "function" || typeof name !== "string") return value;
      const call = value.bind(on) as (...args: readonly unknown[]) => unknown;
      if (group === "keys" && name !== "hmget") return call;
      return (...args: readonly unknown[]) => points.around(`${group}.${name}`, async () => call(...args));
    },
  });
}

/** A kind of target whose calls are places of this broker: `issuer.issue`, `issuer.revoke`, and `issuer.listed` behind each one listed. */
export function watchedKind(kind: IssuerKind, points: Failpoints): IssuerKind {
  return { ...kind, open: (target, ports) => watchedIssuer(kind.open(target, ports), points) };
}

function watchedIssuer(issuer: Issuer, points: Failpoints): Issuer {
  const { list } = issuer;
  return {
    ...issuer,
    issue: (order, signal) => points.around("issuer.issue", () => issuer.issue(order, signal)),
    revoke: (order, signal) => points.around("issuer.revoke", () => issuer.revoke(order, signal)),
    ...(list === undefined
      ? {}
      : {
          async *list(signal: AbortSignal) {
            for await (const lease of list.call(issuer, signal)) {
              await points.around("issuer.listed", async () => undefined);
              yield lease;
            }
          },
        }),
  };
}
