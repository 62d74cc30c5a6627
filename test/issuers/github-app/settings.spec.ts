import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { Secret } from "../../../domain/secret.ts";
import { appJwt } from "../../../issuers/github-app/app-jwt.ts";
import { beyondPermissions, type Level, unaskedPermission } from "../../../issuers/github-app/narrow.ts";
import { GitHubAppOptions, gitHubAppParams, GitHubAppSettings } from "../../../issuers/github-app/settings.ts";
import { targetOf } from "./start.ts";

const AT = { apiUrl: "https://api.github.com" };
const words = (result: {
  readonly success: boolean;
  readonly error?: { readonly issues: readonly { message: string }[] } | undefined;
}): string => (result.success ? "" : (result.error?.issues.map(({ message }) => message).join("; ") ?? ""));

describe("a target's settings", () => {
  it("reach GitHub unless another address is given", () => {
    const { api_url: _, insecure_http: __, ...rest } = targetOf(AT);
    expect(GitHubAppSettings.parse(rest)).toMatchObject({
      api_url: "https://api.github.com",
      app: "Iv23liTestClient",
      private_network: false,
    });
    expect(GitHubAppSettings.parse({ ...rest, api_url: "https://ghe.acme.example/api/v3/" }).api_url).toBe(
      "https://ghe.acme.example/api/v3",
    );
  });

  it.each([
    ["two names of the App", { app_id: 1 }, "say client_id or app_id, and not both"],
    ["no name of the App", { client_id: undefined }, "say client_id or app_id, and not both"],
    ["two installations", { installation: 1 }, "say installation or account, and not both"],
    ["no installation", { account: undefined }, "say installation or account, and not both"],
    ["a key in the document", { private_key: "-----BEGIN RSA PRIVATE KEY-----" }, "must be env:NAME or file:PATH, never the secret itself"],
    [
      "no permissions, which GitHub reads as all",
      { permissions: {} },
      "must name at least one permission: without any GitHub gives all of them",
    ],
    [
      "plain http",
      { api_url: "http://ghe.acme.example", insecure_http: false },
      "must be https; http only to loopback, with insecure_http: true",
    ],
    ["an address with a query", { api_url: "https://ghe.acme.example/?x=1" }, "must have no query and no fragment"],
    ["an account that leaves its path", { account: "../../app" }, "must be an organization, a user, or owner/repository"],
    ["a repository that leaves its place", { repositories: [".."] }, "must be a repository's name without its owner, or its id"],
    ["names and ids mixed", { repositories: ["shop", 7] }, "must be a list of up to 500 names (without the owner), or of ids"],
    ["a word it does not know", { repos: ["shop"] }, 'Unrecognized key: "repos"'],
  ])("are refused with %s", (_name, more, message) => {
    expect(words(GitHubAppSettings.safeParse(targetOf(AT, more)))).toBe(message);
  });
});

describe("a grant's settings", () => {
  const settings = GitHubAppSettings.parse(targetOf(AT, { repositories: ["shop", "site"] }));
  const params = gitHubAppParams(settings);

  it("are the target's unless the grant says less", () => {
    expect(params.parse({})).toEqual({ repositories: ["shop", "site"], permissions: { contents: "write", issues: "read" } });
    expect(params.parse({ repositories: ["Shop"], permissions: { contents: "read" } })).toEqual({
      repositories: ["Shop"],
      permissions: { contents: "read" },
    });
  });

  it.each([
    [{ repositories: ["secrets"] }, "the repository secrets is not among shop, site"],
    [{ repositories: "all" }, "all repositories are more than shop, site"],
    [{ repositories: [101] }, "the repository 101 is not among shop, site (write both by name, or both by id)"],
    [{ permissions: { issues: "write" } }, "the permission issues may be read at most, not write"],
    [{ permissions: { secrets: "read" } }, "the permission secrets is not among contents, issues"],
    [{ permissions: { constructor: "read" } }, "the permission constructor is not among contents, issues"],
    [{ scope: ["x"] }, 'Unrecognized key: "scope"'],
  ])("never say more than the target: %j", (asked, message) => {
    expect(words(params.safeParse(asked))).toBe(message);
  });

  it("must name repositories, or all, where the target leaves it open", () => {
    const open = gitHubAppParams(GitHubAppSettings.parse(targetOf(AT)));
    expect(words(open.safeParse({}))).toBe("say which repositories, or `all` for every one of the installation");
    expect(open.parse({ repositories: "all" }).repositories).toBe("all");
  });
});

describe("what is asked on a command line", () => {
  it("is read from words as from JSON", () => {
    expect(GitHubAppOptions.parse({ repositories: "shop, site", permissions: "contents:read,issues=write" })).toEqual({
      repositories: ["shop", "site"],
      permissions: { contents: "read", issues: "write" },
    });
    expect(GitHubAppOptions.parse({ repositories: "101,102" })).toEqual({ repositories: [101, 102] });
    for (const bad of [{ repositories: "" }, { repositories: "../x" }, { permissions: "contents" }, { permissions: "" }, { all: true }])
      expect(GitHubAppOptions.safeParse(bad).success).toBe(false);
  });
});

describe("permissions", () => {
  const permissions = fc.dictionary(
    fc.constantFrom("contents", "issues", "checks", "pages"),
    fc.constantFrom<Level>("read", "write", "admin"),
  );
  it("within a ceiling are within every wider one, and what GitHub gives is never wider than what was asked", () => {
    fc.assert(
      fc.property(permissions, permissions, permissions, (asked, ceiling, wider) => {
        if (beyondPermissions(asked, ceiling) !== undefined || beyondPermissions(ceiling, wider) !== undefined) return;
        expect(beyondPermissions(asked, wider)).toBeUndefined();
        expect(unaskedPermission(asked, wider)).toBeUndefined();
      }),
    );
  });
});

describe("the App's key", () => {
  const minute = 60_000;
  it.each([
    ["no PEM", "hello", "is no private key in PEM"],
    [
      "a public key",
      generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({ type: "spki", format: "pem" }),
      "is no private key in PEM",
    ],
    ["another kind of key", generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }), "is no RSA key"],
    [
      "a short key",
      generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey.export({ type: "pkcs1", format: "pem" }),
      "is no RSA key",
    ],
  ])("is refused without being shown: %s", async (_name, pem, message) => {
    await expect(appJwt("1", new Secret(String(pem)), 0, minute)).rejects.toMatchObject({
      name: "PermanentFailure",
      message: expect.stringContaining(`private_key ${message}`),
    });
  });
});
