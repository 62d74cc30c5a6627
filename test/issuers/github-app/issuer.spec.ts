import { describe, expect, it } from "@jest/globals";
import type { Issued } from "../../../domain/credential.ts";
import type { Secret } from "../../../domain/secret.ts";
import { issuerContract } from "../../contract/issuer-contract.ts";
import { description } from "../../support/github-openapi.ts";
import { atGitHub, type AtGitHub, GRANT, openAt, soon } from "./start.ts";

const HOUR_AND_SLACK = 3_900_000;
const tokenOf = (issued: Issued): string => issued.credential.token.reveal();

issuerContract("github-app", async () => {
  const at = await atGitHub();
  return {
    issuer: at.issuer,
    settings: GRANT,
    now: at.clock,
    works: async (token) => (await at.github.repositoriesOf(token)) !== undefined,
    waitsWithoutHandleMs: HOUR_AND_SLACK,
    [Symbol.asyncDispose]: () => at[Symbol.asyncDispose](),
  };
});

describe("a token of a GitHub App", () => {
  it("opens the grant's repositories with the grant's permissions and nothing else", async () => {
    await using at = await atGitHub();
    const order = at.order();
    const issued = await at.issuer.issue(order, soon());
    expect(issued.credential).toMatchObject({
      type: "github_token",
      facts: {
        repositories: ["acme/shop"],
        permissions: { contents: "read", metadata: "read" },
        api_url: at.github.apiUrl,
        expires_at: new Date(order.expiresAt).toISOString(),
      },
    });
    expect(await at.github.repositoriesOf(tokenOf(issued))).toEqual(["shop"]);
    expect(at.github.requests.map(({ method, path }) => `${method} ${path}`).slice(0, 2)).toEqual([
      "GET /orgs/acme/installation",
      "POST /app/installations/678/access_tokens",
    ]);
    expect(at.github.requests[1]?.body).toEqual({ repositories: ["shop"], permissions: { contents: "read" } });
  });

  it("is judged by GitHub's published description, not by our idea of it", () => {
    expect(description.origin).toMatch(/^@octokit\/openapi \d+\.\d+\.\d+/);
    expect(Object.keys(description.paths)).toContain("/app/installations/{installation_id}/access_tokens");
  });

  it("opens nothing once its lease has ended, long before GitHub's hour is over", async () => {
    await using at = await atGitHub();
    const order = at.order({ expiresAt: at.clock() + 60_000 });
    const issued = await at.issuer.issue(order, soon());
    at.clock.advance({ minutes: 1 });
    expect(await at.github.repositoriesOf(tokenOf(issued))).toEqual(["shop"]);
    const ended = { leaseId: order.leaseId, handle: issued.handle, expiresAt: order.expiresAt };
    expect(await at.issuer.revoke(ended, soon())).toBe("revoked");
    expect(await at.github.repositoriesOf(tokenOf(issued))).toBeUndefined();
    expect(await at.issuer.revoke(ended, soon())).toBe("already_gone");
    // another broker that was given the same lease to end
    expect(await at.another().revoke(ended, soon())).toBe("already_gone");
  });

  it("can be asked for less than the grant gives, and never for more", async () => {
    await using at = await atGitHub();
    const params = at.issuer.params.parse({ repositories: ["shop", "site"], permissions: { contents: "write", issues: "read" } });
    const options = at.issuer.options?.parse({ repositories: "Shop", permissions: "contents:read" }) ?? {};
    expect(at.issuer.refuses?.(params, options)).toBeUndefined();
    const issued = await at.issuer.issue(at.order({ params, options }), soon());
    expect(await at.github.repositoriesOf(tokenOf(issued))).toEqual(["shop"]);
    expect(issued.credential.facts).toMatchObject({ permissions: { contents: "read", metadata: "read" } });
    const refused = (asked: unknown): string | undefined => at.issuer.refuses?.(params, at.issuer.options?.parse(asked) ?? {});
    expect(refused({ repositories: ["secrets"] })).toBe("the repository secrets is not among shop, site");
    expect(refused({ permissions: { issues: "write" } })).toBe("the permission issues may be read at most, not write");
    expect(refused({ permissions: "administration:read" })).toBe("the permission administration is not among contents, issues");
    expect(refused({ repositories: [101] })).toContain("write both by name, or both by id");
  });

  it.each([
    ["by organization", { account: "acme" }],
    ["by user, where no organization has that name", { account: "octocat" }],
    ["by repository", { account: "acme/shop" }],
    ["by number, without a look-up", { account: undefined, installation: 678 }],
    ["by the App's number", { client_id: undefined, app_id: 12_345 }],
  ])("comes from the installation that the target means: %s", async (_name, settings) => {
    await using at = await atGitHub(settings);
    const issued = await at.issuer.issue(at.order(), soon());
    expect(await at.github.repositoriesOf(tokenOf(issued))).toEqual(["shop"]);
  });

  it("goes by ids where the grant does, and by all repositories only where the grant says so", async () => {
    await using at = await atGitHub();
    const byId = await at.issuer.issue(at.order({ params: at.issuer.params.parse({ repositories: [102] }) }), soon());
    expect(await at.github.repositoriesOf(tokenOf(byId))).toEqual(["site"]);
    const all = await at.issuer.issue(at.order({ params: at.issuer.params.parse({ repositories: "all" }) }), soon());
    expect(await at.github.repositoriesOf(tokenOf(all))).toEqual(["shop", "site", "secrets"]);
    expect(all.credential.facts).not.toHaveProperty("repositories");
    expect(at.issuer.params.safeParse({}).success).toBe(false);
  });
});

describe("a token without a handle", () => {
  const forget = { handle: undefined, expiresAt: 0 };

  it("is not called revoked before it is surely dead: nobody can name it at GitHub", async () => {
    await using at = await atGitHub();
    const order = at.order();
    const token = tokenOf(await at.issuer.issue(order, soon()));
    const crashed = at.another();
    await expect(crashed.revoke({ leaseId: order.leaseId, ...forget }, soon())).rejects.toMatchObject({
      name: "DiesByItself",
      deadAt: order.issuedAt + HOUR_AND_SLACK,
    });
    at.clock.advance({ minutes: 60 });
    expect(await at.github.repositoriesOf(token)).toBeUndefined();
    at.clock.advance({ minutes: 5 });
    expect(await crashed.revoke({ leaseId: order.leaseId, ...forget }, soon())).toBe("already_gone");
  });

  it("needs no waiting for where GitHub refused to make it, or was never reached", async () => {
    await using at = await atGitHub();
    const refused = at.order({ params: { repositories: ["nowhere"], permissions: { contents: "read" } } });
    await expect(at.issuer.issue(refused, soon())).rejects.toMatchObject({
      name: "PermanentFailure",
      message: expect.stringContaining("GitHub answered 422 when asked to make a token (There is at least one repository"),
    });
    expect(await at.issuer.revoke({ leaseId: refused.leaseId, ...forget }, soon())).toBe("already_gone");
    await at.github[Symbol.asyncDispose]();
    const unreached = at.order();
    await expect(at.issuer.issue(unreached, soon())).rejects.toMatchObject({
      name: "RetryableFailure",
      message: "GitHub failed: ECONNREFUSED",
    });
    expect(await at.issuer.revoke({ leaseId: unreached.leaseId, ...forget }, soon())).toBe("already_gone");
  });

  it("is refused by GitHub itself when an issuer that was stopped wakes up: our word to GitHub has run out", async () => {
    await using at = await atGitHub();
    const order = at.order();
    at.clock.advance({ seconds: 121 });
    await expect(at.issuer.issue(order, soon())).rejects.toThrow("the lease ended before its token was asked for");
    // the same request on its way since then
    const late = at.order();
    const sleeper = openLate(at);
    at.clock.advance({ seconds: 121 });
    await expect(sleeper.issue(late, soon())).rejects.toMatchObject({
      name: "PermanentFailure",
      message: expect.stringContaining("GitHub answered 401 when asked to make a token"),
    });
    expect(at.github.alive()).toEqual([]);
  });

  it("is ended and not handed out when its lease ended while GitHub was asked", async () => {
    await using at = await atGitHub();
    const order = at.order();
    let answerNow = (): void => undefined;
    at.github.fail("tokens", { how: "wait", until: new Promise((resolve) => (answerNow = resolve)) });
    const issuing = at.issuer.issue(order, soon());
    while (at.github.requests.length < 2) await new Promise(setImmediate);
    await expect(at.issuer.revoke({ leaseId: order.leaseId, ...forget }, soon())).rejects.toMatchObject({ name: "DiesByItself" });
    answerNow();
    await expect(issuing).rejects.toThrow("the lease ended while its token was made");
    expect(at.github.alive()).toEqual([]);
    expect(await at.issuer.revoke({ leaseId: order.leaseId, ...forget }, soon())).toBe("already_gone");
    await expect(at.issuer.issue(order, soon())).rejects.toThrow("the lease ended before its token was asked for");
  });
});

describe("ending a token", () => {
  const order = (
    at: AtGitHub,
  ): Promise<{ readonly handle: Secret | undefined; readonly leaseId: `lease_${string}`; readonly expiresAt: number }> => {
    const placed = at.order();
    return at.issuer.issue(placed, soon()).then(({ handle }) => ({ handle, leaseId: placed.leaseId, expiresAt: placed.expiresAt }));
  };

  it("is tried again while GitHub is down, and is over when GitHub's own hour has passed", async () => {
    await using at = await atGitHub();
    const ending = await order(at);
    at.github.fail("revoke", { how: "answer", status: 502 }, 1);
    await expect(at.issuer.revoke(ending, soon())).rejects.toMatchObject({
      name: "RetryableFailure",
      message: "GitHub answered 502 when asked to end a token (planned)",
    });
    at.github.fail("revoke", { how: "refuse" }, 9);
    await expect(at.issuer.revoke(ending, soon())).rejects.toMatchObject({
      name: "RetryableFailure",
      message: "GitHub failed: ECONNRESET",
    });
    at.clock.advance({ minutes: 65 });
    expect(await at.issuer.revoke(ending, soon())).toBe("already_gone");
  });

  it("is believed of nothing but 204 and 401", async () => {
    await using at = await atGitHub();
    const ending = await order(at);
    for (const [status, name] of [
      [200, "RetryableFailure"],
      [302, "PermanentFailure"],
      [404, "PermanentFailure"],
      [403, "PermanentFailure"],
      [500, "RetryableFailure"],
    ] as const) {
      at.github.fail("revoke", { how: "text", status, text: "<html>all is well</html>", headers: { location: "/" } });
      await expect(at.issuer.revoke(ending, soon())).rejects.toMatchObject({ name });
    }
    expect(at.github.alive()).toHaveLength(1);
    expect(await at.issuer.revoke(ending, soon())).toBe("revoked");
  });

  it("succeeds the second time when the answer to the first was lost", async () => {
    await using at = await atGitHub();
    const ending = await order(at);
    at.github.fail("revoke", { how: "lost" });
    await expect(at.issuer.revoke(ending, soon())).rejects.toMatchObject({ name: "RetryableFailure" });
    expect(await at.issuer.revoke(ending, soon())).toBe("already_gone");
  });
});

/** An issuer whose clock stopped when it was opened: what it sends now is what it would have sent then. */
function openLate(at: AtGitHub): AtGitHub["issuer"] {
  const then = at.clock();
  return openAt(at.github, () => then, { account: undefined, installation: 678 });
}
