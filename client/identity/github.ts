import { readFileSync } from "node:fs";
import { identityUnavailable, noIdentity, type Environment, type Source, type SourceOptions } from "./source.ts";

/** GitHub Actions: a fresh token for our audience from the runner, each time it is asked. */
export const github: Source = (options) => {
  if (options.env["GITHUB_ACTIONS"] !== "true") return undefined;
  return { source: "GitHub Actions", token: () => fetchToken(options) };
};

async function fetchToken({ env, audience, fetch }: SourceOptions): Promise<string> {
  const address = env["ACTIONS_ID_TOKEN_REQUEST_URL"];
  const bearer = env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"];
  if (!address || !bearer) throw missing(env);
  const url = new URL(address);
  url.searchParams.set("audience", audience);
  let response: Response;
  try {
    response = await fetch(url.href, {
      headers: { authorization: `bearer ${bearer}`, accept: "application/json" },
      signal: AbortSignal.timeout(10_000),
    });
  } catch (error) {
    throw identityUnavailable("GitHub Actions: the runner's token service did not answer", "It usually passes; run the job again.", error);
  }
  const body: unknown = await response.json().catch(() => undefined);
  if (!response.ok)
    throw identityUnavailable(
      `GitHub Actions: the runner's token service answered ${response.status}`,
      "If it stays so, the job's token may have ended: a job's tokens are given for as long as it runs.",
    );
  if (typeof body === "object" && body !== null && "value" in body && typeof body.value === "string") return body.value;
  throw identityUnavailable("GitHub Actions: the runner's token service gave no token", "Run the job again.");
}

/** Says which of the two reasons it is: a fork's pull request never gets a token, every other job only has to ask. */
function missing(env: Environment): Error {
  if (fromFork(env)) {
    return noIdentity(
      "GitHub Actions: pull requests from forks get no ID token",
      "That is GitHub's protection, not a mistake in the workflow. Do what needs a credential in a workflow that runs after the merge.",
    );
  }
  return noIdentity(
    "GitHub Actions: the job may not ask for an ID token",
    "Add to the job, or to the top of the workflow:  permissions: { id-token: write, contents: read }",
  );
}

function fromFork(env: Environment): boolean {
  if (!env["GITHUB_EVENT_NAME"]?.startsWith("pull_request")) return false;
  try {
    const event: unknown = JSON.parse(readFileSync(env["GITHUB_EVENT_PATH"] ?? "", "utf8"));
    const head = member(member(member(event, "pull_request"), "head"), "repo");
    return member(head, "full_name") !== undefined && member(head, "full_name") !== env["GITHUB_REPOSITORY"];
  } catch {
    return false;
  }
}

const member = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
