import { Cluster } from "ioredis";
import type { LeaseId } from "../domain/ids.ts";
import { bare, credentialKey } from "./keyspace.ts";
import type { Runner } from "./run.ts";

/** Notes wait this long for others. Nobody waits for them: they are for whoever finds a credential one day. */
const GATHER_MS = 25;
const AT_ONCE = 500;

type Note = readonly [key: string, lease: string, lifeMs: number];

export interface CredentialNotes {
  add(id: LeaseId, sha256: string, lifeMs: number): Promise<void>;
  /** Everything that was added is there to be found. */
  written(): Promise<void>;
}

/**
 * Notes which lease a credential belongs to. All notes of a moment go in one command, and their callers are given the same promise;
 * in a Cluster each goes to its own slot.
 */
export function credentialNotes(runner: Runner): CredentialNotes {
  let notes: Note[] = [];
  let gathering: { readonly done: Promise<void>; readonly now: () => void } | undefined;

  async function write(moment: Promise<unknown>): Promise<void> {
    await moment;
    gathering = undefined;
    const all = notes;
    notes = [];
    for (let from = 0; from < all.length; from += AT_ONCE) await put(runner, all.slice(from, from + AT_ONCE));
  }

  return {
    add(id, sha256, lifeMs) {
      notes.push([credentialKey(sha256), bare(id), lifeMs]);
      if (gathering === undefined) {
        let now: () => void = () => undefined;
        const moment = new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, GATHER_MS);
          now = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        gathering = { done: write(moment), now };
      }
      return gathering.done;
    },
    async written() {
      gathering?.now();
      await gathering?.done;
    },
  };
}

async function put(runner: Runner, notes: readonly Note[]): Promise<void> {
  if (!(runner.client instanceof Cluster)) return void (await runner.run("note-credentials", "meta", { notes: JSON.stringify(notes) }));
  await Promise.all(notes.map(([key, lease, lifeMs]) => runner.ask((client) => client.set(key, lease, "PX", lifeMs))));
}
