import { RetryableFailure } from "../../domain/credential.ts";
import { Secret } from "../../domain/secret.ts";
import type { RevokedSerial, TargetPorts } from "../../domain/target.ts";
import type { Clock } from "../../domain/time.ts";

/** What an issuer at a target needs from outside, in memory; several issuers over one of these are several brokers of one store. */
export interface TestPorts extends TargetPorts {
  /** What `secret` finds, by reference. */
  readonly secrets: Map<string, string>;
  /** What the vault holds. */
  readonly held: Map<string, Secret>;
  /** What was revoked, whatever its end. */
  readonly listed: Map<string, RevokedSerial>;
  readonly warnings: string[];
}

export function targetPorts(clock: Clock, broker = "https://stint.acme.dev"): TestPorts {
  const secrets = new Map<string, string>();
  const held = new Map<string, Secret>();
  const listed = new Map<string, RevokedSerial>();
  const warnings: string[] = [];
  let number = 0;
  return {
    broker,
    clock,
    secrets,
    held,
    listed,
    warnings,
    secret: async (reference) => {
      const text = secrets.get(reference);
      if (text === undefined) throw new RetryableFailure(`there is nothing at ${reference}: put the secret there`);
      return new Secret(text);
    },
    vault: {
      read: async (name) => held.get(name),
      swap: async (name, before, after) => {
        if (held.get(name)?.reveal() !== before?.reveal()) return false;
        held.set(name, after);
        return true;
      },
    },
    revoked: {
      add: async (serial, expiresAt) => {
        const known = listed.get(serial);
        listed.set(serial, { serial, revokedAt: known?.revokedAt ?? clock(), expiresAt: Math.max(expiresAt, known?.expiresAt ?? 0) });
        if (known !== undefined) return "already_gone";
        number += 1;
        return "revoked";
      },
      all: async () => {
        for (const [serial, { expiresAt }] of listed) if (expiresAt <= clock() && listed.delete(serial)) number += 1;
        return { number, entries: [...listed.values()] };
      },
    },
    warn: (_, message) => void warnings.push(message),
  };
}
