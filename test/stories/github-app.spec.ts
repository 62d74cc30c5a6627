import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { StintError } from "../../domain/errors.ts";
import { isId } from "../../domain/ids.ts";
import type { Lease } from "../../domain/lease.ts";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { type FakeGitHub, startGitHub } from "../support/github.ts";
import { openShop, type Shop } from "../support/shop.ts";

const source = (github: FakeGitHub): string => `
---
kind: Target
name: source
owner: team-platform
issuer: github-app
client_id: ${github.clientId}
private_key: env:APP_KEY
account: acme
api_url: ${github.apiUrl}
insecure_http: true
repositories: [shop, site]
permissions: { contents: write }
---
kind: Grant
name: source
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { target: source, repositories: [shop], permissions: { contents: read }, ttl: 10m, max_ttl: 1h }
`;

let clock: FakeClock;
let github: FakeGitHub;
let shop: Shop;
beforeEach(async () => {
  clock = fakeClock();
  github = await startGitHub(clock);
  shop = await openShop({ clock, more: source(github), variables: { APP_KEY: github.privateKey } });
});
afterEach(async () => {
  await shop[Symbol.asyncDispose]();
  await github[Symbol.asyncDispose]();
});

const sweep = async (): Promise<void> => {
  await shop.broker.sweep();
  await shop.broker.settled();
};
const leases = async (): Promise<readonly Lease[]> => (await shop.broker.services.leases.list({}, undefined, 10)).items;
/** A request that fails; reads the lease that it left. */
async function refused(): Promise<() => Promise<Lease | undefined>> {
  const error: unknown = await shop.exchange({ grant: "source" }).catch((failure: unknown) => failure);
  expect(error).toMatchObject({ code: "issuer_unavailable" });
  const { leaseId } = (error as StintError).facts;
  if (!isId("lease", leaseId)) throw new Error("the refusal names no lease");
  return () => shop.broker.store.leases.get(leaseId);
}
const send = (path: string, body: unknown, bearer: string): Promise<Response> =>
  fetch(`${shop.broker.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${bearer}` },
    body: JSON.stringify(body),
  });

describe("a GitHub token of a task", () => {
  it("opens the grant's repository until the task is done, and GitHub refuses it then", async () => {
    const opened = (await (await send("/v1/tasks", {}, (await shop.evidence()).reveal())).json()) as { task: string; task_token: string };
    const answered = await send(`/v1/tasks/${opened.task}/credentials`, { grant: "source" }, opened.task_token);
    const { credential, revocation } = (await answered.json()) as { credential: Record<string, unknown>; revocation: string };
    expect(answered.status).toBe(201);
    expect(revocation).toBe("immediate");
    expect(credential).toMatchObject({
      type: "github_token",
      repositories: ["acme/shop"],
      permissions: { contents: "read", metadata: "read" },
      api_url: github.apiUrl,
    });
    expect(await github.repositoriesOf(String(credential["token"]))).toEqual(["shop"]);

    const done = await send(`/v1/tasks/${opened.task}/complete`, { outcome: "success" }, opened.task_token);
    expect(await done.json()).toMatchObject({ settled: true, leases: [{ issuer: "source", outcome: "revoked", revocation: "immediate" }] });
    expect(await github.repositoriesOf(String(credential["token"]))).toBeUndefined();
    expect(github.alive()).toEqual([]);
    expect(JSON.stringify(shop.broker.logged)).not.toContain(String(credential["token"]));
  });

  it("is ended by the sweep at its lease's expiry, fifty minutes before GitHub would end it", async () => {
    const { lease } = await shop.exchange({ grant: "source" });
    expect(github.alive()).toHaveLength(1);
    clock.advance({ minutes: 10, seconds: 1 });
    await sweep();
    expect(github.alive()).toEqual([]);
    expect(await shop.broker.store.leases.get(lease.id)).toMatchObject({ state: "revoked", endedBy: "expiry" });
  });

  it("is not asked for with more than the grant gives", async () => {
    const opened = (await (await send("/v1/tasks", {}, (await shop.evidence()).reveal())).json()) as { task: string; task_token: string };
    const answered = await send(
      `/v1/tasks/${opened.task}/credentials`,
      { grant: "source", options: { repositories: ["site"] } },
      opened.task_token,
    );
    expect(answered.status).toBe(400);
    expect(await answered.json()).toMatchObject({ code: "invalid_request", detail: "options: the repository site is not among shop" });
    expect(github.requests).toEqual([]);
    expect(await leases()).toEqual([]);
  });
});

describe("a GitHub token whose value was lost on its way", () => {
  it("keeps its lease until it is surely dead, is nobody's alarm meanwhile, and holds up no other", async () => {
    github.fail("tokens", { how: "lost" });
    const lease = await refused();
    expect(github.alive()).toHaveLength(1);
    const waiting = { state: "revoking", lastError: expect.stringContaining("it is dead within the hour") };
    for (let passed = 0; passed < 60; passed += 10) {
      clock.advance({ minutes: 10 });
      await sweep();
      expect(await leases()).toMatchObject([waiting]);
    }
    expect(github.alive()).toEqual([]);
    clock.advance({ minutes: 4 });
    await sweep();
    expect(await leases()).toMatchObject([{ ...waiting, attempts: 1 }]);
    clock.advance({ minutes: 2 });
    await sweep();
    expect(await leases()).toEqual([]);
    expect(await lease()).toMatchObject({ state: "revoked", attempts: 1 });
    expect(github.requests.filter(({ method }) => method === "DELETE")).toEqual([]);
  });

  it("is no reason to wait where GitHub said no: the lease is over at once", async () => {
    github.suspended = true;
    const lease = await refused();
    expect(await lease()).toMatchObject({ state: "revoked", endedBy: "issue_failed" });
  });

  it("leaves room for others: requests that came too close to GitHub's limit are told when to come again", async () => {
    github.quota.left = 40;
    await shop.exchange({ grant: "source" });
    await expect(shop.exchange({ grant: "source" })).rejects.toMatchObject({
      code: "issuer_unavailable",
      facts: { retryAfterSeconds: 3_600 },
    });
    expect(await leases()).toMatchObject([{ state: "active" }]);
  });
});
