import type { Problem } from "../../domain/errors.ts";
import { compile, type Compilation, type PolicyContext } from "./compile.ts";
import { lint } from "./lint.ts";
import type { Policy } from "./policy.ts";
import { readSources, type Source } from "./read.ts";
import { runAllTests, type TestResult } from "./tests.ts";
import { checkTrustFiles } from "./trust-files.ts";
import { parseYaml } from "./yaml.ts";

/** What came of loading: a policy when nothing stands against it, and everything that was found, in order of file and line. */
export interface Loaded {
  readonly policy: Policy | undefined;
  readonly problems: readonly Problem[];
}

/** Loads a folder of documents, or one file. Every mistake is reported at once; with any error there is no policy. */
export async function loadPolicy(path: string, context: PolicyContext): Promise<Loaded> {
  const { compilation, problems } = await compileFolder(path, context);
  return finish(compilation, context, problems);
}

/** Loads and runs every grant's own tests, as `stint policy test` does. With any error there are no results. */
export async function runPolicyTests(path: string, context: PolicyContext): Promise<Loaded & { readonly results: readonly TestResult[] }> {
  const { compilation, problems } = await compileFolder(path, context);
  const loaded = finish(compilation, context, problems);
  return { ...loaded, results: loaded.policy === undefined ? [] : runAllTests(compilation) };
}

async function compileFolder(
  path: string,
  context: PolicyContext,
): Promise<{ readonly compilation: Compilation; readonly problems: Problem[] }> {
  const { sources, problems } = await readSources(path);
  const found = [...problems];
  const compilation = compileSources(sources, context, found);
  for (const { document, complaints } of compilation.trusts) {
    const trust = compilation.policy.trusts.get(document.name);
    if (trust !== undefined) await checkTrustFiles(document, trust, complaints);
  }
  if (found.length === 0 && compilation.all.length === 0) {
    found.push({
      file: path,
      severity: "warning",
      message: "holds no documents: nothing will be granted",
      help: "stint init writes a first trust and grant",
    });
  }
  return { compilation, problems: found };
}

/** Loads documents given as text, as a simulation does. Files that they name are not looked at. */
export function loadDocuments(sources: readonly Source[], context: PolicyContext): Loaded {
  const problems: Problem[] = [];
  return finish(compileSources(sources, context, problems), context, problems);
}

function compileSources(sources: readonly Source[], context: PolicyContext, problems: Problem[]): Compilation {
  const located = sources.flatMap(({ file, text }) => {
    const parsed = parseYaml(file, text);
    problems.push(...parsed.problems);
    return parsed.documents;
  });
  return compile(located, context, problems);
}

/** Lint runs on what compiled; its errors count as `Settings.lint` says. */
function finish(compilation: Compilation, context: PolicyContext, problems: Problem[]): Loaded {
  lint(compilation, context);
  const fatal = problems.some(
    ({ severity, rule }) => severity === "error" && (rule === undefined || compilation.settings.lint === "error"),
  );
  problems.sort((a, b) => (a.file ?? "").localeCompare(b.file ?? "") || (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
  return { policy: fatal ? undefined : compilation.policy, problems: [...problems] };
}
