import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { isId } from "../../domain/ids.ts";
import type { SimulateBody, SimulateView } from "../../domain/wire.ts";
import { systemCode } from "../errors.ts";
import type { Context } from "./context.ts";
import { EXIT, UsageError } from "./exit-codes.ts";
import { line, printRecord, type Machine } from "./output.ts";
import { plural } from "./receipt.ts";
import { supposedCase, type Supposed } from "./policy-explain.ts";
import { clean, note, type Screen } from "./screen.ts";

interface Options extends Machine, Supposed {
  readonly denial?: readonly string[];
}

/** `stint policy simulate [PATH]`: 9 when the files would not load. */
export async function run(context: Context, options: Options, path = context.env["STINT_CONFIG"] ?? "stint"): Promise<number> {
  const denials = options.denial?.map((id) => {
    if (!isId("den", id)) throw new UsageError(`"${clean(id)}" is not the id of a denial`);
    return id;
  });
  const asksCase = options.grant !== undefined || options.trust !== undefined || options.claims !== undefined;
  const body: SimulateBody = {
    files: await readFiles(path),
    ...(denials === undefined ? {} : { denials }),
    ...(asksCase ? { cases: [await supposedCase(options)] } : {}),
  };
  const view = await context.operator().simulate(body);
  if (options.json !== undefined) printRecord(context.screen, { schema: "simulation/v1", item: view, rows: [] }, options);
  else show(context.screen, view);
  return view.problems.some((problem) => problem.severity === "error" && problem.rule === undefined) ? EXIT.check : EXIT.ok;
}

async function readFiles(path: string): Promise<SimulateBody["files"]> {
  try {
    if (!(await stat(path)).isDirectory()) return [{ name: path, text: await readFile(path, "utf8") }];
    const names = (await readdir(path)).filter((name) => /\.ya?ml$/i.test(name) && !name.startsWith(".")).sort();
    if (names.length === 0) throw new UsageError(`${path} holds no YAML files`);
    return await Promise.all(names.map(async (name) => ({ name: join(path, name), text: await readFile(join(path, name), "utf8") })));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${path} cannot be read (${systemCode(error) ?? "unreadable"})`, "Name a folder of YAML files, or one file.");
  }
}

function show(screen: Screen, view: SimulateView): void {
  const { color } = screen;
  for (const problem of view.problems) {
    const place = [problem.file, problem.line, problem.column].filter((part) => part !== undefined).join(":");
    note(
      screen,
      `${problem.severity === "error" ? color.red("✗") : color.yellow("!")} ${clean(place)} ${clean(problem.message)}${problem.help === undefined ? "" : ` (${clean(problem.help)})`}`,
    );
  }
  for (const one of view.differences) {
    const better = one.after === "allow";
    line(
      screen,
      `${better ? color.green("+") : color.red("-")} ${clean(one.grant)}  ${clean(one.workload)}  ${clean(one.before)} -> ${clean(one.after)}${one.denial === null ? "" : `  ${one.denial}`}`,
    );
  }
  if (view.leases_of_vanished_grants > 0)
    line(
      screen,
      `${color.yellow("!")} ${plural(view.leases_of_vanished_grants, "live lease")} of grants that these files no longer have: stint revoke --grant NAME ends them`,
    );
  note(screen, `${plural(view.cases, "case")} tried, ${plural(view.differences.length, "decision")} would change`);
}
