import { z } from "zod";
import {
  DiesByItself,
  type Issued,
  type IssueOrder,
  type Issuer,
  PermanentFailure,
  RetryableFailure,
  type RevokeOrder,
  type TargetFacts,
} from "../../domain/credential.ts";
import { instantOf, type LeaseId } from "../../domain/ids.ts";
import { Secret } from "../../domain/secret.ts";
import type { IssuerKind, OpenTarget, TargetPorts } from "../../domain/target.ts";
import { formatDuration, toRfc3339 } from "../../domain/time.ts";
import { type OutsideAnswer, OutsideError } from "../../outside/request.ts";
import { type ApiParts, callGitHub, failureOf, jsonOf } from "./api.ts";
import { examineGitHub } from "./examine.ts";
import { type InstallationFinder, installationFinder } from "./installation.ts";
import { createMemory, type Memory } from "./memory.ts";
import { beyondPermissions, beyondRepositories } from "./narrow.ts";
import { quotaWatch } from "./quota.ts";
import { GitHubAppOptions, type GitHubAppParams, gitHubAppParams, GitHubAppSettings } from "./settings.ts";
import { type GivenToken, readToken, SLACK_MS, TOKEN_LIFE_MS } from "./token.ts";

/**
 * Our word to GitHub is good for this long after the lease was opened: a request of an issuer that was stopped meanwhile is refused by
 * GitHub itself, and no token can be younger than that.
 */
const ISSUE_WITHIN_MS = 2 * 60_000;

/** What revoking needs: the token is its own key. `until`: when GitHub ends it, in milliseconds. */
const Handle = z.strictObject({ token: z.string(), until: z.number() });

interface Parts extends ApiParts {
  readonly installation: InstallationFinder;
  readonly memory: Memory;
}

/** Installation tokens of a GitHub App, narrowed to repositories and permissions, and really revoked at the end. */
export const githubApp: IssuerKind<GitHubAppSettings, GitHubAppParams> = {
  kind: "github-app",
  settings: GitHubAppSettings,
  params: gitHubAppParams,
  revocation: () => "immediate",
  open: openGitHubApp,
};

function openGitHubApp({ settings }: OpenTarget<GitHubAppSettings>, ports: TargetPorts): Issuer<GitHubAppParams> {
  const api: ApiParts = { settings, ports, quota: quotaWatch(ports.clock) };
  const parts: Parts = { ...api, installation: installationFinder(api), memory: createMemory() };
  return {
    kind: "github-app",
    place: settings.api_url,
    params: gitHubAppParams(settings),
    options: GitHubAppOptions,
    refuses: (params, options) => refusal(params, GitHubAppOptions.parse(options)),
    maxTtlMs: TOKEN_LIFE_MS,
    revocation: "immediate",
    computesOnly: false,
    issue: (order, signal) => issue(parts, order, signal),
    revoke: (order, signal) => revoke(parts, order, signal),
    examine: (signal): Promise<TargetFacts> => examineGitHub(parts, signal),
  };
}

const refusal = (params: GitHubAppParams, options: GitHubAppOptions): string | undefined =>
  (options.repositories && beyondRepositories(options.repositories, params.repositories)) ??
  (options.permissions && beyondPermissions(options.permissions, params.permissions));

async function issue(parts: Parts, order: IssueOrder<GitHubAppParams>, signal: AbortSignal): Promise<Issued> {
  const { leaseId } = order;
  const options = GitHubAppOptions.parse(order.options);
  const asked: GitHubAppParams = {
    repositories: options.repositories ?? order.params.repositories,
    permissions: options.permissions ?? order.params.permissions,
  };
  const given = await obtain(parts, leaseId, asked, signal);
  // Ended while GitHub was asked: only we know this token, and only now.
  if (parts.memory.isEnding(leaseId)) return discard(parts, leaseId, given.token, "the lease ended while its token was made");
  const end = Math.min(given.expiresAt, order.expiresAt);
  return {
    credential: {
      type: "github_token",
      token: new Secret(given.token),
      facts: {
        // absent: all of the installation
        ...(given.repositories !== "all" && { repositories: given.repositories.map(String) }),
        permissions: given.permissions,
        api_url: parts.settings.api_url,
        expires_at: toRfc3339(end),
      },
    },
    handle: new Secret(JSON.stringify({ token: given.token, until: given.expiresAt })),
  };
}

/** Asks for the token, once: each try would make another, and GitHub gives none a name by which it could be found again. */
async function obtain(parts: Parts, leaseId: LeaseId, asked: GitHubAppParams, signal: AbortSignal): Promise<GivenToken> {
  const { ports, quota, memory, installation } = parts;
  let answer: OutsideAnswer;
  try {
    const wait = quota.scarceMs();
    if (wait !== undefined)
      throw new RetryableFailure(`GitHub's calls are nearly spent: nothing is issued for ${formatDuration(wait)}`, { retryAfterMs: wait });
    const id = await installation.id(signal);
    const appUntil = instantOf(leaseId) + ISSUE_WITHIN_MS;
    if (memory.isEnding(leaseId) || ports.clock() >= appUntil) throw new PermanentFailure("the lease ended before its token was asked for");
    const body = { ...repositoriesIn(asked), permissions: asked.permissions };
    const path = `/app/installations/${id}/access_tokens`;
    answer = await callGitHub(parts, { method: "POST", path, as: { appUntil }, body, signal }).catch((error: unknown) => {
      if (!(error instanceof OutsideError) || !error.sent) throw error;
      throw new LostAnswer(`GitHub's answer was lost (${error.message}): if it made a token, nobody has it, and it dies within the hour`);
    });
    if (answer.status === 404) installation.forget();
    if (answer.status < 500 && answer.status !== 201) throw failureOf(answer, "make a token", quota);
  } catch (error) {
    if (error instanceof LostAnswer) throw error;
    memory.noteGone(leaseId); // refused, or never asked: there is no token
    throw error instanceof OutsideError ? new RetryableFailure(`GitHub ${error.message}`, { cause: error }) : error;
  }
  if (answer.status !== 201) throw failureOf(answer, "make a token", quota);
  const read = readToken(jsonOf(answer), asked, ports.clock());
  if (!("wrong" in read)) return read;
  if (read.token === undefined) throw new PermanentFailure(`GitHub gave a token ${read.wrong}: is api_url right?`);
  return discard(parts, leaseId, read.token, `GitHub gave a token ${read.wrong}; it was ended`);
}

class LostAnswer extends RetryableFailure {}

const repositoriesIn = ({ repositories }: GitHubAppParams): Readonly<Record<string, unknown>> =>
  repositories === "all" ? {} : typeof repositories[0] === "number" ? { repository_ids: repositories } : { repositories };

/** A token that must not be handed out. Should ending it fail, too, it dies by itself and its lease waits for that. */
async function discard(parts: Parts, leaseId: LeaseId, token: string, why: string): Promise<never> {
  await end(parts, leaseId, token, AbortSignal.timeout(10_000));
  throw new PermanentFailure(why);
}

async function revoke(parts: Parts, order: RevokeOrder, signal: AbortSignal): Promise<"revoked" | "already_gone"> {
  const { ports, memory } = parts;
  memory.noteEnding(order.leaseId);
  if (order.handle === undefined) {
    const deadAt = instantOf(order.leaseId) + TOKEN_LIFE_MS + SLACK_MS;
    if (memory.isGone(order.leaseId) || ports.clock() >= deadAt) return "already_gone";
    throw new DiesByItself("if GitHub made a token, nobody holds it and nobody can end it; it is dead within the hour", deadAt);
  }
  const { token, until } = readHandle(order.handle);
  if (ports.clock() >= until + SLACK_MS) return "already_gone";
  return end(parts, order.leaseId, token, signal);
}

function readHandle(handle: Secret): z.output<typeof Handle> {
  try {
    return Handle.parse(JSON.parse(handle.reveal()));
  } catch {
    // its words would be the token's
    throw new PermanentFailure("what was kept to end this token is not what this release writes: it dies within the hour");
  }
}

async function end(parts: Parts, leaseId: LeaseId, token: string, signal: AbortSignal): Promise<"revoked" | "already_gone"> {
  const { quota, memory } = parts;
  const wait = quota.blockedMs();
  if (wait !== undefined) throw new RetryableFailure("GitHub asked to be left alone for a while", { retryAfterMs: wait });
  const answer = await callGitHub(parts, { method: "DELETE", path: "/installation/token", as: { token }, signal }).catch(
    (error: unknown) => {
      throw error instanceof OutsideError ? new RetryableFailure(`GitHub ${error.message}`, { cause: error }) : error;
    },
  );
  // 401: GitHub does not know the token any more.
  if (answer.status !== 204 && answer.status !== 401) throw failureOf(answer, "end a token", quota);
  memory.noteGone(leaseId);
  return answer.status === 204 ? "revoked" : "already_gone";
}
