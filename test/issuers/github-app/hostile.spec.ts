import { describe, expect, it } from "@jest/globals";
import { DiesByItself } from "../../../domain/credential.ts";
import type { LeaseId } from "../../../domain/ids.ts";
import { atGitHub, type AtGitHub, soon } from "./start.ts";

const ending = (at: AtGitHub, leaseId: LeaseId): Promise<string> => at.issuer.revoke({ leaseId, handle: undefined, expiresAt: 0 }, soon());
const hours = (at: AtGitHub, count: number): string => new Date(at.clock() + count * 3_600_000).toISOString();

describe("a GitHub whose answer cannot be believed", () => {
  it.each([
    ["more permissions", (truth: object) => ({ ...truth, permissions: { contents: "write" } }), "with permissions that nobody asked for"],
    [
      "a permission nobody knows",
      (truth: object) => ({ ...truth, permissions: { everything: "read" } }),
      "with permissions that nobody asked for",
    ],
    [
      "a level nobody knows",
      (truth: object) => ({ ...truth, permissions: { contents: "owner" } }),
      "with permissions that nobody asked for",
    ],
    [
      "all repositories",
      (truth: object) => ({ ...truth, repository_selection: "all" }),
      "for all repositories, though a few were asked for",
    ],
    [
      "another repository",
      (truth: object) => ({ ...truth, repositories: [{ id: 9, name: "secrets", full_name: "acme/secrets" }] }),
      "for repositories that nobody asked for",
    ],
    ["a year of life", (truth: object, at: AtGitHub) => ({ ...truth, expires_at: hours(at, 8760) }), "for longer than an hour"],
    ["no end", (truth: object) => ({ ...truth, expires_at: null }), "in a form that is not its API's"],
  ])("gives %s: the token is ended at once and nobody gets it", async (_name, change, said) => {
    await using at = await atGitHub();
    const order = at.order();
    at.github.fail("tokens", { how: "lie", change: (truth) => change(truth, at) });
    await expect(at.issuer.issue(order, soon())).rejects.toMatchObject({
      name: "PermanentFailure",
      message: `GitHub gave a token ${said}; it was ended`,
    });
    expect(at.github.alive()).toEqual([]);
    expect(await ending(at, order.leaseId)).toBe("already_gone");
  });

  it.each([
    ["nothing", {}],
    ["two lines as a token", { token: "ghs_one\r\nX-Evil: 1", expires_at: "2026-03-02T13:00:00Z" }],
    ["no object", ["ghs_token"]],
  ])("answers 201 with %s: nobody gets it, and its lease waits until it is surely dead", async (_name, body) => {
    await using at = await atGitHub();
    const order = at.order();
    at.github.fail("tokens", { how: "lie", change: () => body });
    await expect(at.issuer.issue(order, soon())).rejects.toMatchObject({
      name: "PermanentFailure",
      message: "GitHub gave a token in a form that is not its API's: is api_url right?",
    });
    await expect(ending(at, order.leaseId)).rejects.toBeInstanceOf(DiesByItself);
  });

  it.each([
    ["is cut off before", { how: "lost" }],
    ["is cut off half way", { how: "half" }],
    ["is 300 MB long", { how: "huge" }],
  ] as const)("%s: it may have made a token, so the lease waits until it is surely dead", async (_name, fault) => {
    await using at = await atGitHub();
    const order = at.order();
    at.github.fail("tokens", fault);
    const before = process.memoryUsage().rss;
    await expect(at.issuer.issue(order, soon())).rejects.toMatchObject({
      name: "RetryableFailure",
      message: expect.stringMatching(/^GitHub's answer was lost \(.+\): if it made a token, nobody has it, and it dies within the hour$/),
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(80 * 2 ** 20);
    await expect(ending(at, order.leaseId)).rejects.toBeInstanceOf(DiesByItself);
    expect(at.github.requests.filter(({ path }) => path.endsWith("access_tokens"))).toHaveLength(1);
  });

  it("is late: the call ends with the caller's patience, not with GitHub's", async () => {
    await using at = await atGitHub();
    const order = at.order();
    at.github.fail("tokens", { how: "hang" });
    const patience = new AbortController();
    const issuing = at.issuer.issue(order, patience.signal);
    while (at.github.requests.length < 2) await new Promise(setImmediate);
    patience.abort();
    await expect(issuing).rejects.toThrow("GitHub's answer was lost (took too long)");
    await expect(ending(at, order.leaseId)).rejects.toBeInstanceOf(DiesByItself);
  });

  it("sends us elsewhere, or to a page: neither is followed nor believed", async () => {
    await using at = await atGitHub();
    at.github.fail("tokens", { how: "text", status: 307, text: "", headers: { location: `${at.github.apiUrl}/elsewhere` } });
    await expect(at.issuer.issue(at.order(), soon())).rejects.toMatchObject({
      message: "GitHub answered 307 when asked to make a token: is api_url right, or was the account renamed?",
    });
    at.github.fail("installation", { how: "text", status: 200, text: "<html>welcome</html>" });
    await expect(at.another().issue(at.order(), soon())).rejects.toThrow("described the installation in a way that is not its API's");
    expect(at.github.requests.map(({ path }) => path)).not.toContain("/elsewhere");
  });

  it("repeats our secrets to us: no error of ours does", async () => {
    await using at = await atGitHub();
    const said = `token ghs_${"a".repeat(36)}\u001b[31m and\nBearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxIn0.c2lnbmF0dXJl`;
    at.github.fail("tokens", { how: "answer", status: 403, body: { message: said, documentation_url: "https://docs.github.test" } });
    await expect(at.issuer.issue(at.order(), soon())).rejects.toThrow(
      "GitHub answered 403 when asked to make a token (token [...] [31m and Bearer [...]): is the installation suspended?",
    );
  });
});

describe("GitHub's limits", () => {
  it("stop issuing before they are reached, and say when to come again; ending goes on", async () => {
    await using at = await atGitHub();
    const order = at.order();
    const { handle } = await at.issuer.issue(order, soon());
    at.github.quota.left = 51;
    await at.issuer.issue(at.order(), soon());
    expect((await at.issuer.examine?.(soon()))?.quota).toMatchObject({ left: 48, of: 5_000 });
    await expect(at.issuer.issue(at.order(), soon())).rejects.toMatchObject({
      name: "RetryableFailure",
      message: "GitHub's calls are nearly spent: nothing is issued for 1h",
      retryAfterMs: 3_600_000,
    });
    expect(await at.issuer.revoke({ leaseId: order.leaseId, handle, expiresAt: order.expiresAt }, soon())).toBe("revoked");
    at.clock.advance({ hours: 1, seconds: 1 });
    at.github.quota = { left: 5_000, of: 5_000, resetsAt: at.clock() + 3_600_000 };
    expect(await at.issuer.issue(at.order(), soon())).toBeDefined();
  });

  it.each([
    ["a secondary limit with its time", { status: 429, headers: { "retry-after": "30" } }, 30_000],
    [
      "a secondary limit without one",
      { status: 403, body: { message: "You have exceeded a secondary rate limit", documentation_url: "x" } },
      60_000,
    ],
    ["calls that are spent", { status: 403, headers: { "x-ratelimit-remaining": "0" } }, 3_600_000],
  ] as const)("leave GitHub alone for as long as it asks: %s", async (_name, fault, waitMs) => {
    await using at = await atGitHub();
    const order = at.order();
    const { handle } = await at.issuer.issue(order, soon());
    at.github.fail("tokens", { how: "answer", ...fault });
    await expect(at.issuer.issue(at.order(), soon())).rejects.toMatchObject({ name: "RetryableFailure", retryAfterMs: waitMs });
    const calls = at.github.requests.length;
    await expect(at.issuer.issue(at.order(), soon())).rejects.toMatchObject({ retryAfterMs: waitMs });
    const ended = { leaseId: order.leaseId, handle, expiresAt: order.expiresAt };
    await expect(at.issuer.revoke(ended, soon())).rejects.toMatchObject({ name: "RetryableFailure", retryAfterMs: waitMs });
    expect(at.github.requests).toHaveLength(calls);
    at.clock.advance({ ms: waitMs });
    expect(["revoked", "already_gone"]).toContain(await at.issuer.revoke(ended, soon()));
  });
});

describe("what is known of the App", () => {
  it("is its name, its calls left, and where its rights differ from the target's", async () => {
    await using at = await atGitHub({ permissions: { contents: "write", packages: "read" } });
    expect(await at.issuer.examine?.(soon())).toEqual({
      server: "GitHub, App stint-test",
      quota: { left: 4_998, of: 5_000, resetsAt: at.clock() + 3_600_000 },
      warnings: [
        "the target offers more than the installation has: the permission packages is not among metadata, contents, issues, administration",
        "the App may do more there than this target gives, issues for one: take it away from the App if nobody needs it",
      ],
    });
    at.github.suspended = true;
    expect((await at.issuer.examine?.(soon()))?.warnings).toContain("the installation is suspended: no token will be made");
    await expect(at.issuer.issue(at.order(), soon())).rejects.toThrow(
      "GitHub answered 403 when asked to make a token (This installation has been suspended)",
    );
  });

  it("is looked up again after the installation went away", async () => {
    await using at = await atGitHub();
    await at.issuer.issue(at.order(), soon());
    at.github.fail("tokens", { how: "answer", status: 404 });
    await expect(at.issuer.issue(at.order(), soon())).rejects.toThrow("is the App still installed there");
    await at.issuer.issue(at.order(), soon());
    expect(at.github.requests.filter(({ path }) => path === "/orgs/acme/installation")).toHaveLength(2);
  });
});
