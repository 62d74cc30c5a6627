import { describe, expect, it } from "@jest/globals";
import { presetClaims } from "../../support/idp-claims.ts";
import { startIdp } from "../../support/idp.ts";
import { eventually } from "../../support/events.ts";
import { startMain } from "../../support/main-process.ts";
import { shopDocuments } from "../../support/shop.ts";
import { readExposition, type Family } from "./exposition.ts";

describe("a broker's metrics", () => {
  it("move with what it does: every stage of a request, and every way to be refused", async () => {
    await using idp = await startIdp();
    await using main = await startMain({ documents: (url) => shopDocuments(idp, url) });
    const evidence = (claims: object = {}, how = {}): Promise<string> =>
      idp.token(
        presetClaims("github", { iss: idp.issuer, aud: main.url, repository_id: "456789", ref: "refs/heads/main", ...claims }),
        how,
      );
    const ask = async (token: string, more: object = {}): Promise<Response> =>
      fetch(`${main.at}/oauth2/token`, {
        method: "POST",
        body: new URLSearchParams({
          grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
          subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
          subject_token: token,
          scope: "grant:deploy",
          ...more,
        }),
      });
    const good = await evidence();
    const answer = (await (await ask(good)).json()) as { task_id: string; task_token: string };
    expect(answer.task_id).toMatch(/^task_/);
    for (const used of [good, await evidence({ event_name: "pull_request_target" }), await evidence({}, { forge: true })])
      expect((await ask(used)).status).toBe(400);
    const ended = await fetch(`${main.at}/v1/tasks/${answer.task_id}/complete`, {
      method: "POST",
      headers: { authorization: `Bearer ${answer.task_token}`, "content-type": "application/json" },
      body: '{"outcome":"success"}',
    });
    expect(ended.status).toBe(200);

    const families = readExposition(await (await fetch(main.metrics)).text());
    const value = (name: string, labels: Readonly<Record<string, string>> = {}): number =>
      families
        .flatMap(({ samples }: Family) => samples)
        .filter((one) => one.name === name && Object.entries(labels).every(([label, is]) => one.labels[label] === is))
        .reduce((sum, one) => sum + one.value, 0);
    expect(value("stint_token_requests_total", { outcome: "issued", grant: "deploy" })).toBe(1);
    expect(value("stint_token_requests_total", { outcome: "denied" })).toBeGreaterThanOrEqual(1);
    expect(value("stint_attestation_verify_duration_seconds_count", { outcome: "accepted", attestor: "github" })).toBe(3);
    expect(value("stint_attestation_verify_duration_seconds_count", { outcome: "rejected" })).toBe(1);
    expect(value("stint_policy_decision_duration_seconds_count", { decision: "allow" })).toBe(2);
    expect(value("stint_policy_decision_duration_seconds_count", { decision: "deny" })).toBe(1);
    expect(value("stint_store_call_duration_seconds_count", { work: "open", outcome: "answered" })).toBeGreaterThanOrEqual(2);
    expect(value("stint_replay_rejected_total", { kind: "evidence" })).toBe(1);
    expect(value("stint_tasks_ended_total", { reason: "complete" })).toBe(1);
    expect(value("stint_http_request_duration_seconds_count", { route: "/oauth2/token", status: "400" })).toBe(3);
    expect(value("stint_check_ok", { check: "redis" })).toBe(1);
    const ends = (alg: string): number => value("stint_signing_key_not_after_timestamp_seconds", { alg });
    expect(["ES256", "RS256"].map((alg) => Math.round((ends(alg) - Date.now() / 1000) / 86_400))).toEqual([30, 30]);
    expect(ends("Ed25519")).toBe(0); // what has no end is not said to have one
    expect(value("stint_build_info")).toBe(1);
  });

  it("tell of keys that cannot be fetched, in the log too", async () => {
    const idp = await startIdp();
    await using main = await startMain({ documents: (url) => shopDocuments(idp, url) });
    const token = await idp.token(
      presetClaims("github", { iss: idp.issuer, aud: main.url, repository_id: "456789", ref: "refs/heads/main" }),
    );
    await idp[Symbol.asyncDispose]();
    const answer = await fetch(`${main.at}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(503);
    const text = await (await fetch(main.metrics)).text();
    expect(text).toContain('stint_jwks_fetch_failures_total{trust="github"} 1');
    expect(text).toMatch(/stint_attestation_verify_duration_seconds_count\{attestor="none",outcome="unavailable"\} 1/);
    await eventually("the log says so", async () => main.log().includes("identity keys could not be fetched"));
  });
});
