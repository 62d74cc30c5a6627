import type { PublishedDocument } from "../../domain/credential.ts";
import { StintError } from "../../domain/errors.ts";
import type { Operator, Origin } from "../callers.ts";
import type { Hold } from "../hold.ts";
import type { Parts } from "../parts.ts";
import type { Breakers } from "../sweeper/breaker.ts";
import type { Calls } from "../sweeper/calls.ts";
import type { TargetService, TargetStanding } from "./api.ts";
import type { IssuerRegistry, OpenedTarget } from "./registry.ts";
import { SharedReads } from "./shared-reads.ts";
import type { TargetWatch } from "./watch.ts";

interface Beneath {
  readonly registry: IssuerRegistry;
  readonly watch: TargetWatch;
  readonly breakers: Breakers;
  readonly calls: Calls;
  readonly hold: Hold;
}

export function createTargets(
  parts: Pick<Parts, "store" | "door" | "events">,
  { registry, watch, breakers, calls, hold }: Beneath,
): TargetService {
  const reads = new SharedReads<PublishedDocument, Uint8Array>();

  function opened(name: string): OpenedTarget {
    const found = registry.targets().get(name);
    if (found === undefined) throw new StintError("not_found", "there is no such target");
    return found;
  }

  function standing({ target: { name, owner }, issuer, retired }: OpenedTarget): TargetStanding {
    const { facts, findings } = watch.state(name);
    const trouble = watch.trouble(name);
    const { running, waiting } = calls.at(name);
    const state = retired ? "retired" : breakers.open().includes(name) ? "left_alone" : trouble === undefined ? "open" : "failing";
    const { kind, revocation } = issuer;
    return { name, kind, owner, state, revocation, making: parts.door.making(name), ending: running, waiting, facts, findings, trouble };
  }

  const record = (action: "target.reconciled" | "target.rotated", name: string, by: Operator, reason: string, origin: Origin) =>
    parts.store.audit.append(0, { action, principal: `operator:${by.name}`, issuer: name, reason, trace_id: origin.traceId });

  /** Whether nothing that the store has lost can be alive any more at any target. */
  function allReconciled(since: number): boolean {
    const standing = [...registry.targets().values()];
    return standing.every(({ target, issuer }) => issuer.list !== undefined && (watch.state(target.name).reconciledAt ?? 0) >= since);
  }

  return {
    list: () => [...registry.targets().values()].map(standing),
    async document(target, name) {
      const documents = registry.targets().get(target)?.issuer.documents ?? {};
      const found = Object.hasOwn(documents, name) ? documents[name] : undefined;
      if (found === undefined) throw new StintError("not_found", "there is no such document here");
      // anybody may ask, as often as they like
      return { body: await reads.read(found, () => found.read()), contentType: found.contentType, maxAge: found.maxAge };
    },
    async reconcile(name, mode, operator, reason, origin) {
      if (opened(name).issuer.list === undefined)
        throw new StintError("not_implemented", `what exists at ${name} cannot be listed; its credentials end by its lists and by time`);
      if (mode === "done") await record("target.reconciled", name, operator, reason, origin);
      const findings = await watch.reconcile(name, mode, "person");
      const { held, since } = await hold.show();
      if (mode === "done" && held && findings.failed === 0 && allReconciled(since ?? Number.POSITIVE_INFINITY))
        await hold.clear(operator, `reconciled at every target: ${reason}`, origin);
      return findings;
    },
    async rotate(name, operator, reason, origin) {
      opened(name);
      await record("target.rotated", name, operator, reason, origin);
      await watch.rotate(name);
      return standing(opened(name));
    },
  };
}
