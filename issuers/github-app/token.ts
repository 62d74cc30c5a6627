import { z } from "zod";
import { unaskedPermission, folded } from "./narrow.ts";
import type { GitHubAppParams } from "./settings.ts";

/** Tokens live this long at GitHub, whatever is asked. */
export const TOKEN_LIFE_MS = 3_600_000;
/** Allowance for GitHub's clock, and for what our word to it (`ISSUE_WITHIN_MS`) leaves open. */
export const SLACK_MS = 5 * 60_000;

/** The token alone: whatever else is wrong with an answer, this must be ended. */
const Bare = z.object({ token: z.string().regex(/^[\x21-\x7e]{8,4096}$/) });
const Answer = Bare.extend({
  expires_at: z.iso.datetime({ offset: true }),
  permissions: z.record(z.string(), z.string()).optional(),
  repository_selection: z.enum(["all", "selected"]).optional(),
  repositories: z.array(z.object({ id: z.int(), name: z.string(), full_name: z.string() })).optional(),
});

/** A token as GitHub gave it, checked against what was asked. Times are milliseconds. */
export interface GivenToken {
  readonly token: string;
  readonly expiresAt: number;
  readonly permissions: Readonly<Record<string, string>>;
  /** Names with their owner, where GitHub listed them. */
  readonly repositories: "all" | readonly (string | number)[];
}

/** Reads an answer with status 201. `wrong` comes with the token that must be ended, if one can be seen. */
export function readToken(
  json: unknown,
  asked: GitHubAppParams,
  now: number,
): GivenToken | { readonly wrong: string; readonly token: string | undefined } {
  const read = Answer.safeParse(json);
  if (!read.success) {
    const bare = Bare.safeParse(json);
    return { wrong: "in a form that is not its API's", token: bare.success ? bare.data.token : undefined };
  }
  const { token, permissions = {}, repositories, repository_selection: selection } = read.data;
  const expiresAt = Date.parse(read.data.expires_at);
  const wrong = wider(asked, permissions, repositories, selection) ?? tooLong(expiresAt, now);
  if (wrong !== undefined) return { wrong, token };
  const listed = repositories?.map((repository) => repository.full_name);
  return { token, expiresAt, permissions, repositories: asked.repositories === "all" ? "all" : (listed ?? asked.repositories) };
}

function wider(
  asked: GitHubAppParams,
  permissions: Readonly<Record<string, string>>,
  repositories: z.output<typeof Answer>["repositories"],
  selection: "all" | "selected" | undefined,
): string | undefined {
  const unasked = unaskedPermission(permissions, asked.permissions);
  if (unasked !== undefined) return "with permissions that nobody asked for";
  if (asked.repositories === "all") return undefined;
  if (selection === "all") return "for all repositories, though a few were asked for";
  const allowed = new Set<string | number>(asked.repositories.map(folded));
  const beyond = repositories?.some(({ id, name }) => !allowed.has(id) && !allowed.has(folded(name))) ?? false;
  return beyond ? "for repositories that nobody asked for" : undefined;
}

const tooLong = (expiresAt: number, now: number): string | undefined =>
  expiresAt > now + TOKEN_LIFE_MS + SLACK_MS ? "for longer than an hour" : undefined;
