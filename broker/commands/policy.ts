import type { z } from "zod";
import type { Problem } from "../../domain/errors.ts";
import { systemClock, type Clock } from "../../domain/time.ts";
import { issuerCatalog, issuerKinds } from "../../issuers/catalog.ts";
import { runPolicyTests } from "../policy/load.ts";
import { problemText, testText } from "../policy/report.ts";
import type { TestResult } from "../policy/tests.ts";

/** `check` of the command line's exit codes. */
const CHECK_FAILED = 9;
const USAGE = 2;
const VERBS = ["check", "test", "lint"];

interface Answer {
  readonly code: number;
  readonly text: string;
}

/**
 * `stint policy check|test|lint PATH [--json]`, without a broker: loads the documents as one would. `check` says everything that is
 * wrong, `lint` what the lint rules found and what keeps the documents from loading, `test` runs the tests that grants carry.
 */
export async function policyCommand(args: readonly string[], stintUrl: string, clock: Clock): Promise<Answer> {
  const [verb = "", path = "stint"] = args.filter((arg) => arg !== "--json");
  if (!VERBS.includes(verb)) return { code: USAGE, text: `usage: policy ${VERBS.join("|")} [PATH] [--json]` };
  const loaded = await runPolicyTests(path, { stintUrl, issuers: issuerParams(stintUrl), kinds: issuerKinds, now: clock() });
  const sound = loaded.policy !== undefined;
  // Whoever runs the tests sees how they went below; a warning that they fail would say it twice.
  const problems = loaded.problems.filter(({ rule, severity }) =>
    verb === "test" ? severity === "error" : verb === "check" || rule !== undefined || severity === "error",
  );
  const results = verb === "test" ? loaded.results : [];
  const ok = sound && results.every(({ passed }) => passed) && !(verb === "lint" && problems.some(({ severity }) => severity === "error"));
  const code = ok ? 0 : CHECK_FAILED;
  if (args.includes("--json"))
    return {
      code,
      text: JSON.stringify(
        { ok, version: loaded.policy?.version ?? null, problems, ...(verb === "test" ? { tests: results } : {}) },
        null,
        2,
      ),
    };
  return {
    code,
    text: [
      ...problems.map(problemText),
      ...results.map(testText),
      lastLine(verb, sound, problems, results, loaded.policy?.grants.size ?? 0),
    ].join("\n"),
  };
}

function lastLine(verb: string, sound: boolean, problems: readonly Problem[], results: readonly TestResult[], grants: number): string {
  const count = (severity: Problem["severity"]): number => problems.filter((problem) => problem.severity === severity).length;
  if (!sound) return `The documents do not load: ${plural(count("error"), "error")}, ${plural(count("warning"), "warning")}.`;
  if (verb !== "test") return `${plural(grants, "grant")}: ${plural(count("error"), "error")}, ${plural(count("warning"), "warning")}.`;
  const failed = results.filter(({ passed }) => !passed).length;
  return results.length === 0
    ? "No grant has tests."
    : `${plural(results.length, "test")}, ${failed === 0 ? "all passed" : `${failed} failed`}.`;
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;

/** Settings of every issuer. Nothing is issued here, so nothing can sign. */
function issuerParams(issuer: string): Readonly<Record<string, z.ZodType>> {
  const keys = { current: () => Promise.reject(new Error("policy commands have no signing keys")), kidNow: () => undefined };
  return Object.fromEntries([...issuerCatalog({ issuer, keys })].map(([kind, { params }]) => [kind, params]));
}

if (process.argv[1] === import.meta.filename) {
  const { code, text } = await policyCommand(process.argv.slice(2), process.env["STINT_URL"] ?? "http://127.0.0.1:8420", systemClock);
  process.stdout.write(`${text}\n`);
  process.exitCode = code;
}
