import { Command, CommanderError } from "commander";
import { packageVersion } from "./package-version.ts";
import type { Environment } from "../identity/source.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit-codes.ts";
import { environment } from "./environment.ts";
import { defineAuthoring } from "./program-authoring.ts";
import { defineOperator } from "./program-operator.ts";
import { defineTools } from "./program-tools.ts";
import { defineWorkload } from "./program-workload.ts";
import { clean, screenOf, type Screen } from "./screen.ts";

/** What a command's module is told: context, its options, its arguments. Answers the exit code. */
export type Define = (program: Command, act: Act) => void;
type Loaded = { readonly run: (context: Context, options: never, ...args: never[]) => Promise<number> };
/** Makes an action that loads its module only when it is called. */
export type Act = (load: () => Promise<Loaded>) => (...args: unknown[]) => Promise<void>;

/** Runs one command line; answers its exit code. Nothing it prints goes anywhere but to the screen. */
export async function run(argv: readonly string[], env: Environment = environment(), screen: Screen = screenOf(env)): Promise<number> {
  let code: number = EXIT.ok;
  let about = "";
  const act: Act =
    (load) =>
    async (...args) => {
      const command = args.pop();
      const options = args.pop();
      if (!(command instanceof Command)) throw new TypeError("an action without its command");
      const positional = args as never[];
      about = typeof args[0] === "string" ? args[0] : "";
      const { contextOf } = await import("./context.ts");
      const { run: act } = await load();
      code = await act(contextOf(options as object, env, screen), options as never, ...positional);
    };
  try {
    await build(screen, act).parseAsync([...plainJson(argv)], { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const { fail } = await import("./fail.ts");
    return fail(screen, error, about, env);
  }
}

function build(screen: Screen, act: Act): Command {
  const program = new Command("stint");
  program
    .description("Credentials for one task, that die when the task ends.")
    .version(packageVersion(), "-V, --version")
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void screen.out.write(text),
      writeErr: (text) => void screen.err.write(text),
      outputError: (text, write) => write(usage(text, screen)),
      getOutHelpWidth: () => screen.width,
      getErrHelpWidth: () => screen.width,
      getOutHasColors: () => screen.color.isColorSupported,
      getErrHasColors: () => screen.errColor.isColorSupported,
    })
    .configureHelp({ styleTitle: (title) => screen.color.bold(title) })
    .addHelpText("before", ROOT_EXAMPLES)
    .addHelpText("after", ROOT_MORE);
  for (const define of [defineWorkload, defineOperator, defineAuthoring, defineTools]) define(program, act);
  return program;
}

const ROOT_EXAMPLES = `  stint demo                                        see the whole story, on this machine
  stint exec --for deploy-prod=DEPLOY_TOKEN -- ./deploy.sh
  stint revoke --workload github/acme/shop --lock 24h --reason INC-412
`;
const ROOT_MORE = `
Variables: STINT_URL, STINT_ID_TOKEN_FILE, STINT_OPERATOR_TOKEN_FILE, STINT_TASK_TOKEN_FILE, STINT_CA_FILE.
Exit: 0 ok, 1 failure, 2 usage, 3 denied, 4 no accepted identity, 5 locked, 6 unreachable, 7 gone, 9 check failed, 10 partial.`;

/** `--json` takes members only as `--json=a,b`: what follows it is never swallowed. Beyond `--` nothing is ours. */
function* plainJson(argv: readonly string[]): Generator<string> {
  let ours = argv[0] !== "exec";
  for (const word of argv) {
    if (word === "--") ours = false;
    yield ours && word === "--json" ? "--json=" : word;
  }
}

/** Commander's one line, as ours: what, and what next. */
function usage(text: string, screen: Screen): string {
  const [what = "", ...more] = text
    .trim()
    .replace(/^error: /, "")
    .split("\n");
  const next = more.join(" ").replace(/^\((.*)\)$/, "$1");
  const lines = [`${screen.errColor.red("✗")} ${clean(what)}`];
  lines.push(`  ${screen.errColor.dim("next ")} ${next === "" ? "--help shows what this command takes." : clean(next)}`);
  return `${lines.join("\n")}\n`;
}
