import { describe, expect, it } from "@jest/globals";
import { createMetrics } from "../../../broker/telemetry/metrics.ts";

const make = () => createMetrics({ version: "0.1.0", process: false });

describe("the metrics", () => {
  it("are OpenMetrics text, with every name of ours", async () => {
    const { contentType, body } = await createMetrics({ version: "0.1.0", revision: "abc" }).render();
    expect(contentType).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
    expect(body.endsWith("# EOF\n")).toBe(true);
    expect(body).toContain('stint_build_info{version="0.1.0",revision="abc"} 1');
    expect(body).toContain("process_cpu_seconds_total");
  });

  it("count requests by grant, attestor, outcome and error", async () => {
    const metrics = make();
    metrics.setGrants(["deploy-prod"]);
    metrics.tokenRequest({ grant: "deploy-prod", attestor: "github", outcome: "issued" });
    metrics.tokenRequest({ grant: "deploy-prod", attestor: "github", outcome: "issued" });
    metrics.tokenRequest({ grant: undefined, attestor: undefined, outcome: "invalid", error: "invalid_request" });
    const { body } = await metrics.render();
    expect(body).toContain('stint_token_requests_total{grant="deploy-prod",attestor="github",outcome="issued",error="none"} 2');
    expect(body).toContain('stint_token_requests_total{grant="none",attestor="none",outcome="invalid",error="invalid_request"} 1');
  });

  it("do not grow by what callers make up", async () => {
    const metrics = make();
    metrics.setGrants(["deploy-prod"]);
    for (let n = 0; n < 1000; n += 1)
      metrics.tokenRequest({ grant: `made-up-${n}`, attestor: "github", outcome: "denied", error: "not_permitted" });
    for (let n = 0; n < 1000; n += 1) metrics.keysFetchFailed(`trust-${n}`);
    const { body } = await metrics.render();
    expect(body).toContain('grant="other",attestor="github",outcome="denied",error="not_permitted"} 1000');
    expect(body).not.toContain("made-up");
    expect(body.match(/stint_jwks_fetch_failures_total\{/g)?.length).toBe(51);
  });

  it("tell states and spans", async () => {
    const metrics = make();
    metrics.leases({ active: 3, stuck: 1 });
    metrics.oldestDue(1.5);
    metrics.auditLag(7, 0.2);
    metrics.redisUp(false);
    metrics.leaseEnded("expiry", 100);
    metrics.decision("deny", 0.0002);
    metrics.httpRequest("POST", "/v1/tasks/:id/complete", 200, 0.004);
    const { body } = await metrics.render();
    expect(body).toContain('stint_leases{state="stuck"} 1');
    expect(body).toContain("stint_oldest_due_seconds 1.5");
    expect(body).toContain("stint_redis_up 0");
    expect(body).toContain('stint_lease_revocations_total{reason="expiry"} 100');
    expect(body).toContain('stint_policy_decision_duration_seconds_count{engine="stint",decision="deny"} 1');
    expect(body).toContain('stint_http_request_duration_seconds_count{method="POST",route="/v1/tasks/:id/complete",status="200"} 1');
  });

  it("belong to one broker: two in one process share nothing", async () => {
    const [one, other] = [make(), make()];
    one.redisUp(true);
    expect((await other.render()).body).toContain("stint_redis_up 0");
  });
});
