import { readFile } from "node:fs/promises";
import { type OutsideRequest, type Reach as Way, OutsideError, checkUrl, requestOutside } from "../../outside/request.ts";

/** What a trust allows of the way to its provider. */
export interface Reach extends Omit<Way, "ca"> {
  readonly caFile: string | undefined;
  /** A file with a token that the provider asks for. */
  readonly bearerFile: string | undefined;
}

/** What may be set for the door as a whole; tests bring a resolver and a shorter limit. */
export interface OutsideOptions {
  /** For the whole exchange, names included. */
  readonly timeoutMs?: number;
  readonly resolve?: NonNullable<OutsideRequest["resolve"]>;
}

export const OUTSIDE_TIMEOUT_MS = 5_000;
export const MAX_OUTSIDE_BYTES = 262_144;
const MAX_SECRET_BYTES = 16_384;

/** A provider's document: GET through the one door outside, at most 256 KiB, within 5 s in all. Throws `OutsideError`. */
export async function fetchOutside(target: string, reach: Reach, options: OutsideOptions = {}): Promise<string> {
  checkUrl(target, reach); // before a secret is read for it
  const bearer = reach.bearerFile === undefined ? undefined : await readSecret(reach.bearerFile);
  const ca = reach.caFile === undefined ? undefined : await readFile(reach.caFile).catch(unreadable("authority"));
  const { status, body } = await requestOutside(
    target,
    { ...reach, ca },
    {
      method: "GET",
      headers: { accept: "application/json", ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }) },
      timeoutMs: options.timeoutMs ?? OUTSIDE_TIMEOUT_MS,
      maxBytes: MAX_OUTSIDE_BYTES,
      resolve: options.resolve,
    },
  );
  if (status !== 200) throw new OutsideError(`answered with status ${status}`, { sent: true });
  return body;
}

async function readSecret(path: string): Promise<string> {
  const text = (await readFile(path, "utf8").catch(unreadable("bearer"))).trim();
  if (text === "" || text.length > MAX_SECRET_BYTES || !/^[\x21-\x7e]+$/.test(text))
    throw new OutsideError("has a bearer file without a usable token");
  return text;
}

function unreadable(what: string): (error: unknown) => never {
  return (error) => {
    throw new OutsideError(`has no readable ${what} file`, { cause: error });
  };
}
