import { fingerprintOf } from "./ca-key.ts";
import type { PublishedDocument } from "../../domain/credential.ts";
import type { TargetPorts } from "../../domain/target.ts";
import { toSeconds } from "../../domain/time.ts";
import type { AuthoritySource } from "./authority.ts";
import { writeKrl } from "./krl.ts";
import { lineOf } from "./public-key.ts";

/** A proxy may keep the CA's line as long as this (seconds), far less than a CA is announced before it signs. */
const CA_MAX_AGE = 30;

export interface DocumentsFrom {
  readonly target: string;
  readonly distrust: readonly string[];
  readonly source: AuthoritySource;
  readonly ports: TargetPorts;
}

/** What hosts fetch: whom to believe (`ca.pub`), and what not any more (`krl`). */
export const sshDocuments = (from: DocumentsFrom): Readonly<Record<string, PublishedDocument>> => ({
  "ca.pub": { contentType: "text/plain; charset=utf-8", maxAge: CA_MAX_AGE, read: () => caLines(from) },
  krl: { contentType: "application/octet-stream", maxAge: 0, read: krlOf(from) },
});

async function caLines({ target, source, ports }: DocumentsFrom): Promise<Uint8Array> {
  const { published } = await source.now();
  const comment = `stint:${target}@${new URL(ports.broker).host}`;
  return Buffer.from(published.map((key) => `${lineOf(key, comment)}\n`).join(""));
}

/** The list, made anew only when something in it changed. */
function krlOf({ target, distrust, source, ports }: DocumentsFrom): () => Promise<Uint8Array> {
  const distrusted = distrust.map((text) => Buffer.from(text.slice("SHA256:".length), "base64"));
  let made: { readonly of: string; readonly bytes: Uint8Array } | undefined;
  return async () => {
    const { published, generation } = await source.now();
    const { number, entries } = await ports.revoked.all();
    // a store that was restored may count a number twice; it has other entries then
    const of = [number, generation, entries.length, entries.at(-1)?.serial, ...published.map(fingerprintOf)].join(" ");
    if (made?.of !== of) {
      const bytes = writeKrl({
        // Both only grow, and each change of the list is one of theirs.
        version: BigInt(number) + BigInt(generation),
        generatedAt: toSeconds(ports.clock()),
        comment: `stint:${target}`,
        authorities: published,
        serials: entries.map(({ serial }) => BigInt(serial)),
        distrusted,
      });
      made = { of, bytes };
    }
    return made.bytes;
  };
}
