import type { IssueOrder, Issuer } from "../../../domain/credential.ts";
import type { Clock } from "../../../domain/time.ts";
import { githubApp } from "../../../issuers/github-app/issuer.ts";
import type { GitHubAppParams } from "../../../issuers/github-app/settings.ts";
import { orderFor } from "../../contract/issuer-contract.ts";
import { fakeClock, type FakeClock } from "../../support/clock.ts";
import { type FakeGitHub, startGitHub } from "../../support/github.ts";
import { targetPorts } from "../../support/target-ports.ts";

/** What a Target says in these tests. */
export const targetOf = (github: Pick<FakeGitHub, "apiUrl">, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => ({
  client_id: "Iv23liTestClient",
  private_key: "file:app.pem",
  account: "acme",
  api_url: github.apiUrl,
  insecure_http: true,
  permissions: { contents: "write", issues: "read" },
  ...more,
});

export const GRANT = { repositories: ["shop"], permissions: { contents: "read" } } as const;

/** An issuer at a GitHub of its own. */
export interface AtGitHub extends AsyncDisposable {
  readonly github: FakeGitHub;
  readonly issuer: Issuer<GitHubAppParams>;
  readonly clock: FakeClock;
  order(more?: Partial<IssueOrder<GitHubAppParams>>): IssueOrder<GitHubAppParams>;
  /** Another process with the same target. */
  another(): Issuer<GitHubAppParams>;
}

export async function atGitHub(more: Readonly<Record<string, unknown>> = {}): Promise<AtGitHub> {
  const clock = fakeClock();
  const github = await startGitHub(clock);
  const open = (): Issuer<GitHubAppParams> => openAt(github, clock, more);
  const issuer = open();
  return {
    github,
    issuer,
    clock,
    order: (changes) => orderFor({ issuer, settings: GRANT, now: clock }, changes),
    another: open,
    [Symbol.asyncDispose]: () => github[Symbol.asyncDispose](),
  };
}

export function openAt(github: FakeGitHub, clock: Clock, more: Readonly<Record<string, unknown>> = {}): Issuer<GitHubAppParams> {
  const settings = githubApp.settings.parse(targetOf(github, more));
  const ports = targetPorts(clock);
  ports.secrets.set("file:app.pem", github.privateKey);
  return githubApp.open({ name: "source", owner: undefined, settings }, ports);
}

export const soon = (): AbortSignal => AbortSignal.timeout(5_000);
