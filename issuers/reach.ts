import { z } from "zod";
import type { TargetPorts } from "../domain/target.ts";
import { checkUrl, type Reach } from "../outside/request.ts";
import { filePath } from "./written.ts";

/** Members of a Target's settings that say how its HTTP API is reached; a Trust has the same. */
export const reachSettings = {
  /** Certificates of the authorities that are believed, PEM; unasked: those that Node believes. */
  ca_file: filePath.optional(),
  /** Its addresses may be private or loopback. */
  private_network: z.boolean().default(false),
  /** Plain http, to loopback only. */
  insecure_http: z.boolean().default(false),
};

export interface ReachSettings {
  readonly ca_file?: string | undefined;
  readonly private_network: boolean;
  readonly insecure_http: boolean;
}

/** What `requestOutside` is told of the way; the authority is read anew each time. */
export async function reachOf(settings: ReachSettings, ports: Pick<TargetPorts, "secret">): Promise<Reach> {
  const ca = settings.ca_file === undefined ? undefined : (await ports.secret(`file:${settings.ca_file}`)).reveal();
  return { privateNetwork: settings.private_network, insecureHttp: settings.insecure_http, ca };
}

/** What is wrong with the address of an API, in words for who wrote it; undefined: nothing. */
export function wrongAddress(address: string, settings: Pick<ReachSettings, "insecure_http">): string | undefined {
  try {
    const url = checkUrl(address, { insecureHttp: settings.insecure_http });
    return url.search === "" && url.hash === "" ? undefined : "must have no query and no fragment";
  } catch (error) {
    const why = error instanceof Error ? error.message : "is not a URL";
    return why === "is not https" ? "must be https; http only to loopback, with insecure_http: true" : why;
  }
}
