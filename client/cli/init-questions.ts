import { cancel, isCancel, select, text } from "@clack/prompts";
import { CancelledError } from "./exit-codes.ts";
import { complete, flagOf, type Options } from "./init.ts";
import { CI_NAMES, type CiName } from "./templates/names.ts";
import type { Answers } from "./templates/platform.ts";
import { PLATFORMS } from "./templates/platforms.ts";

const QUESTIONS: Readonly<Partial<Record<keyof Answers, string>>> = {
  repositoryId: "The repository's number (gh api repos/OWNER/NAME --jq .id)",
  projectId: "The project's id",
  organization: "The organisation (Buildkite: its slug; CircleCI: its id)",
  pipeline: "The pipeline's slug",
  namespace: "The namespace",
  serviceAccount: "The service account",
  issuer: "Who signs its tokens (the issuer's https address)",
  subject: "Whom to allow (the sub of its tokens)",
};

/** Asks for what the options leave open. What is said on the command line is not asked again. */
export async function ask(options: Options, url: string): Promise<{ readonly ci: CiName; readonly answers: Answers }> {
  const output = process.stderr;
  const ci =
    options.ci ??
    answered(
      await select({ message: "Who will ask for credentials?", options: CI_NAMES.map((value) => ({ value, label: value })), output }),
    );
  const given: Record<string, string> = {};
  for (const name of PLATFORMS[ci].needs) {
    if (options[name]) continue;
    given[name] = answered(
      await text({ message: QUESTIONS[name] ?? flagOf(name), validate: (value) => (value?.trim() ? undefined : "It is needed."), output }),
    ).trim();
  }
  return { ci, answers: complete({ ...options, ...given }, ci, url) };
}

function answered<T>(value: T): Exclude<T, symbol> {
  if (!isCancel(value)) return value as Exclude<T, symbol>;
  cancel("Nothing was written.", { output: process.stderr });
  throw new CancelledError("cancelled");
}
