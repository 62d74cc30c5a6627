import { createMetrics, type Metrics } from "../../../broker/telemetry/metrics.ts";
import { readExposition, type Family } from "./exposition.ts";

/** Every metric, with a sample of each. */
export async function everyMetric(settings: { readonly process?: boolean } = { process: false }): Promise<readonly Family[]> {
  const metrics = createMetrics({ version: "1.2.3", ...settings });
  tellAll(metrics);
  return readExposition((await metrics.render()).body);
}

function tellAll(metrics: Metrics): void {
  metrics.setGrants(["deploy"]);
  metrics.tokenRequest({ grant: "deploy", attestor: "github", outcome: "issued" });
  metrics.attestation("github", "accepted", 0.001);
  metrics.decision("allow", 0.0001);
  metrics.storeCall("open", "answered", 0.001);
  metrics.targetCall("shop-db", "make", "done", 0.01);
  metrics.httpRequest("POST", "/oauth2/token", 200, 0.01);
  metrics.leaseEnded("expiry");
  metrics.taskEnded("complete");
  metrics.revocationPropagated("target", 0.3);
  metrics.shed("overloaded");
  metrics.replayRejected("evidence");
  metrics.keysFetchFailed("github");
  metrics.policyLoaded("in_force");
  metrics.dutyFailed("sweep");
  metrics.leases({ active: 1 });
  metrics.signingKey("ES256", 1);
  metrics.checks([{ name: "redis", status: "ok" }]);
  metrics.targets([{ name: "shop-db", leftAlone: false, running: 1, waiting: 2, orphans: 0 }]);
}
