import { z } from "zod";
import { reachSettings, wrongAddress } from "../reach.ts";
import { referenceTo } from "../written.ts";
import { beyondPermissions, beyondRepositories, type Level, type Permissions, type Repositories } from "./narrow.ts";

/** GitHub narrows a token to at most this many repositories. */
const MAX_REPOSITORIES = 500;
const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/;
const LEVELS = ["read", "write", "admin"] as const satisfies readonly Level[];

const Permissions = z
  .record(z.string().regex(/^[a-z][a-z_]{1,63}$/, "must be the name of a permission as GitHub's API writes it"), z.enum(LEVELS))
  .refine((all) => Object.keys(all).length > 0, { error: "must name at least one permission: without any GitHub gives all of them" })
  .refine((all) => Object.keys(all).length <= 64, { error: "may name 64 permissions at most" });

const RepositoryName = z.string().regex(NAME, "must be a repository's name without its owner, or its id");
const Names = z.array(RepositoryName).min(1).max(MAX_REPOSITORIES);
const Numbers = z.array(z.int().positive()).min(1).max(MAX_REPOSITORIES);
const List = z.union([Names, Numbers], { error: `must be a list of up to ${MAX_REPOSITORIES} names (without the owner), or of ids` });

/** Members of a Target with `issuer: github-app`. */
export const GitHubAppSettings = z
  .strictObject({
    /** Who the App is: its id, or its client id, which GitHub recommends. */
    app_id: z.union([z.int().positive(), z.string().regex(/^[0-9]{1,15}$/)], { error: "must be the App's number" }).optional(),
    client_id: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,64}$/, "must be the App's client id")
      .optional(),
    /** The App's private key, PEM, as GitHub hands it out. */
    private_key: referenceTo("secret"),
    installation: z.int().positive().optional(),
    /** Instead of the installation's number: the organization, user or `owner/repository` that the App is installed on. */
    account: z
      .string()
      .regex(/^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,99})(?:\/[A-Za-z0-9._-]{1,100})?$/, "must be an organization, a user, or owner/repository")
      .optional(),
    api_url: z.string().max(512).default("https://api.github.com"),
    /** The most that any grant may give. */
    repositories: List.optional(),
    permissions: Permissions,
    ...reachSettings,
  })
  .superRefine((settings, context) => {
    const wrong = (path: string, message: string): void => void context.addIssue({ code: "custom", path: [path], message });
    if ((settings.app_id === undefined) === (settings.client_id === undefined)) wrong("client_id", "say client_id or app_id, and not both");
    if ((settings.installation === undefined) === (settings.account === undefined))
      wrong("installation", "say installation or account, and not both");
    const address = wrongAddress(settings.api_url, settings);
    if (address !== undefined) wrong("api_url", address);
  })
  .transform(({ app_id: id, client_id: client, ...rest }) => ({
    ...rest,
    app: client ?? String(id),
    api_url: rest.api_url.replace(/\/+$/, ""),
  }));
export type GitHubAppSettings = z.output<typeof GitHubAppSettings>;

/** A grant's settings: what its tokens may do, within what the target gives. */
export interface GitHubAppParams {
  readonly repositories: Repositories;
  readonly permissions: Permissions;
}

/** Under a grant's `issue`: the repositories, unless the target names them, and permissions, unless all of the target's are meant. */
export function gitHubAppParams(settings: Pick<GitHubAppSettings, "repositories" | "permissions">): z.ZodType<GitHubAppParams> {
  const Asked = z.strictObject({
    repositories: z
      .union([List, z.literal("all")], { error: "must be a list of names (without the owner) or of ids, or `all`" })
      .optional(),
    permissions: Permissions.optional(),
  });
  return Asked.transform((asked, context): GitHubAppParams => {
    const wrong = (path: string, message: string | undefined): void => {
      if (message !== undefined) context.addIssue({ code: "custom", path: [path], message });
    };
    const repositories = asked.repositories ?? settings.repositories;
    const permissions = asked.permissions ?? settings.permissions;
    if (repositories === undefined) wrong("repositories", "say which repositories, or `all` for every one of the installation");
    else wrong("repositories", beyondRepositories(repositories, settings.repositories ?? "all"));
    wrong("permissions", beyondPermissions(permissions, settings.permissions));
    return { repositories: repositories ?? [], permissions };
  });
}

/** What the asker may say: fewer repositories, fewer permissions. On a command line lists are written `a,b` and permissions `name:level,...`. */
export const GitHubAppOptions = z.strictObject({
  repositories: z.preprocess((value) => (typeof value === "string" ? listIn(value) : value), List).optional(),
  permissions: z.preprocess((value) => (typeof value === "string" ? pairsIn(value) : value), Permissions).optional(),
});
export type GitHubAppOptions = z.output<typeof GitHubAppOptions>;

function listIn(text: string): unknown {
  const items = text.split(",").map((item) => item.trim());
  // A repository may be called 42, too; whoever means that one asks with JSON.
  return items.every((item) => /^[1-9][0-9]{0,14}$/.test(item)) ? items.map(Number) : items;
}

const pairsIn = (text: string): unknown => Object.fromEntries(text.split(",").map((pair) => pair.trim().split(/[:=]/, 2)));
