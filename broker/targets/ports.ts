import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { statSync } from "node:fs";
import { RetryableFailure } from "../../domain/credential.ts";
import { Secret } from "../../domain/secret.ts";
import type { SecretReference, TargetPorts, TargetVault } from "../../domain/target.ts";
import type { Clock } from "../../domain/time.ts";
import type { TargetStore } from "../../store/api.ts";
import type { Sealer } from "../../store/sealing.ts";
import type { Log } from "../parts.ts";

/** A secret longer than this is a mistake. */
const MAX_SECRET = 64 * 1024;

export interface PortsFrom {
  readonly url: string;
  readonly now: Clock;
  readonly records: TargetStore;
  readonly sealer: Sealer;
  /** The configuration's file or folder: paths in it are relative to that. */
  readonly policyPath: string;
  /** The environment's variables, one at a time. */
  readonly variable: (name: string) => string | undefined;
  readonly log: Log;
}

/** What an issuer at this target is given. */
export function portsOf(target: string, from: PortsFrom): TargetPorts {
  const { url, now, records, log } = from;
  return {
    broker: url,
    clock: now,
    secret: (reference) => readSecret(reference, from),
    vault: vaultOf(target, from),
    revoked: {
      add: (serial, expiresAt) => records.revokeSerial(target, serial, expiresAt),
      all: () => records.revokedSerials(target),
    },
    warn: (fields, message) => log.warn({ target, ...fields }, message),
  };
}

async function readSecret(reference: SecretReference, { policyPath, variable }: PortsFrom): Promise<Secret> {
  const at = reference.indexOf(":");
  const [from, name] = [reference.slice(0, at), reference.slice(at + 1)];
  const text = from === "env" ? variable(name) : await readFile(resolve(folderOf(policyPath), name), "utf8").catch(() => undefined);
  if (text === undefined || text === "") throw new RetryableFailure(`there is nothing at ${reference}: put the secret there`);
  if (text.length > MAX_SECRET) throw new RetryableFailure(`what stands at ${reference} is too long for a secret`);
  return new Secret(text.replace(/\r?\n$/, ""));
}

const folderOf = (path: string): string => (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? path : dirname(path));

/** Where a sealed value belongs: it cannot be opened as another's. */
export const sealedAs = (target: string, name: string): string => `${target}/${name}`;
/** What is sealed there. The name of a target holds no slash. */
export function placeSealedAs(recordId: string): { readonly target: string; readonly name: string } {
  const at = recordId.indexOf("/");
  return { target: recordId.slice(0, at), name: recordId.slice(at + 1) };
}

function vaultOf(target: string, { records, sealer }: PortsFrom): TargetVault {
  const open = (name: string, sealed: string): Secret => sealer.open("target-secret", sealedAs(target, name), sealed);
  return {
    async read(name) {
      const sealed = await records.secret(target, name);
      return sealed === undefined ? undefined : open(name, sealed);
    },
    async swap(name, before, after) {
      const held = await records.secret(target, name);
      if ((held === undefined ? undefined : open(name, held).reveal()) !== before?.reveal()) return false;
      const sealed = sealer.seal("target-secret", sealedAs(target, name), after);
      return (await records.swapSecret(target, name, held, sealed)) === "swapped";
    },
  };
}
