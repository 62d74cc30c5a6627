import { z } from "zod";
import { PermanentFailure } from "../../domain/credential.ts";
import type { OutsideAnswer } from "../../outside/request.ts";
import { type ApiParts, callGitHub, failureOf, jsonOf } from "./api.ts";

/** The App's own word for a look-up may be good for this long. */
const WORD_MS = 5 * 60_000;

const Installation = z.object({
  id: z.int().positive(),
  permissions: z.record(z.string(), z.string()),
  suspended_at: z.string().nullish(),
  account: z.object({ login: z.string().optional() }).nullish(),
});
export type Installation = z.output<typeof Installation>;

/** The installation that a Target means; looked up by account once, and again after `forget`. */
export interface InstallationFinder {
  id(signal: AbortSignal): Promise<number>;
  /** What GitHub says of it now. */
  read(signal: AbortSignal): Promise<Installation>;
  forget(): void;
}

export function installationFinder(parts: ApiParts): InstallationFinder {
  const { settings, ports, quota } = parts;
  let known: number | undefined = settings.installation;

  const get = (path: string, signal: AbortSignal): Promise<OutsideAnswer> =>
    callGitHub(parts, { method: "GET", path, as: { appUntil: ports.clock() + WORD_MS }, signal });

  async function look(signal: AbortSignal): Promise<Installation> {
    if (known !== undefined) return read(await get(`/app/installations/${known}`, signal));
    const account = settings.account ?? "";
    if (account.includes("/")) return read(await get(`/repos/${account}/installation`, signal));
    const asOrganization = await get(`/orgs/${account}/installation`, signal);
    return read(asOrganization.status === 404 ? await get(`/users/${account}/installation`, signal) : asOrganization);
  }

  function read(answer: OutsideAnswer): Installation {
    const found = answer.status === 200 ? Installation.safeParse(jsonOf(answer)) : undefined;
    if (found === undefined) throw failureOf(answer, "show the App's installation", quota);
    if (!found.success) throw new PermanentFailure("GitHub described the installation in a way that is not its API's: is api_url right?");
    known = found.data.id;
    return found.data;
  }

  return {
    id: async (signal) => known ?? (await look(signal)).id,
    read: look,
    forget: () => void (known = settings.installation),
  };
}
