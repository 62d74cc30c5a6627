import type { Issuer } from "../../domain/credential.ts";
import { describe } from "../background.ts";
import type { Background, Log } from "../parts.ts";
import type { Policy, Target } from "../policy/policy.ts";
import { placeOf } from "./places.ts";
import { portsOf, type PortsFrom } from "./ports.ts";

/** One target as it is open now. */
export interface OpenedTarget {
  readonly target: Target;
  readonly issuer: Issuer;
  /** The policy no longer has it: nothing new is issued there, and what is left is still ended. */
  readonly retired: boolean;
}

/**
 * The issuers in force by the name that leases carry: those that need no target, and one for each target of the policy. A reload
 * replaces what changed. A target that left the policy, and a place that a target no longer leads to, stay open until this process ends,
 * so that what was made there can be ended there.
 */
export class IssuerRegistry {
  /** Follows every reload. */
  readonly issuers: ReadonlyMap<string, Issuer>;
  readonly #issuers: Map<string, Issuer>;
  readonly #targets = new Map<string, OpenedTarget>();
  readonly #before = new Map<string, Issuer>();
  readonly #ports: PortsFrom;
  readonly #background: Background;
  readonly #log: Log;

  constructor(builtIn: ReadonlyMap<string, Issuer>, ports: PortsFrom, background: Background) {
    this.#issuers = new Map(builtIn);
    this.issuers = this.#issuers;
    this.#ports = ports;
    this.#background = background;
    this.#log = ports.log;
  }

  /** By name. */
  targets(): ReadonlyMap<string, OpenedTarget> {
    return this.#targets;
  }

  /** The issuer at a place that this target led to before, as `placeOf` names it. */
  before(name: string, place: string): Issuer | undefined {
    return this.#before.get(`${name} ${place}`);
  }

  /** Opens what this policy has and did not have; connects to nothing. */
  follow(policy: Pick<Policy, "targets">): void {
    for (const [name, { target, issuer }] of this.#targets) {
      if (policy.targets.has(name)) continue;
      this.#targets.set(name, { target, issuer, retired: true });
    }
    for (const [name, target] of policy.targets) {
      const known = this.#targets.get(name);
      if (known !== undefined && known.target.version === target.version) {
        this.#targets.set(name, { ...known, target, retired: false });
        continue;
      }
      const issuer = target.kind.open(target, portsOf(name, this.#ports));
      this.#targets.set(name, { target, issuer, retired: false });
      this.#issuers.set(name, issuer);
      this.#leave(`${name} ${placeOf(issuer) ?? ""}`);
      if (known === undefined) continue;
      if (placeOf(known.issuer) === placeOf(issuer)) this.#closeSoon(name, known.issuer);
      else this.#before.set(`${name} ${placeOf(known.issuer) ?? ""}`, known.issuer);
    }
  }

  /** A target that leads back to a place needs its old way there no more. */
  #leave(way: string): void {
    const old = this.#before.get(way);
    if (old !== undefined) this.#closeSoon(way, old);
    this.#before.delete(way);
  }

  #closeSoon(name: string, issuer: Issuer): void {
    this.#background.run("close a replaced target", () => this.#close(name, issuer));
  }

  async close(): Promise<void> {
    const open = [...[...this.#targets].map(([name, { issuer }]) => [name, issuer] as const), ...this.#before];
    await Promise.all(open.map(([name, issuer]) => this.#close(name, issuer)));
  }

  async #close(name: string, issuer: Issuer): Promise<void> {
    try {
      await issuer.close?.();
    } catch (error) {
      this.#log.warn({ target: name, error: describe(error) }, "a target was not closed cleanly");
    }
  }
}
