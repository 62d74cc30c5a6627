import { existsSync } from "node:fs";
import { noIdentity, type Source } from "./source.ts";
import { fromFile } from "./file.ts";

/** Where a pod's projected token for us is looked for. */
const PROJECTED = "/var/run/secrets/stint/token";

/**
 * Kubernetes: a projected service-account token made for our audience. The pod's ordinary token is never sent: it opens the
 * cluster's own API.
 */
export const kubernetes: Source = ({ env, audience }) => {
  if (existsSync(PROJECTED)) return fromFile(PROJECTED, "projected Kubernetes token");
  if (!env["KUBERNETES_SERVICE_HOST"]) return undefined;
  return {
    source: "Kubernetes",
    token: () =>
      Promise.reject(
        noIdentity(
          `Kubernetes: no token at ${PROJECTED}`,
          `Mount a projected volume there: serviceAccountToken: { audience: ${audience}, path: token, expirationSeconds: 600 }. Or set STINT_ID_TOKEN_FILE.`,
        ),
      ),
  };
};
