import type { Command, Option } from "commander";
import type { Context } from "./context.ts";

/** Scripts of the shells. Each asks this very command what may stand here, so that none can be out of step with it. */
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `_stint() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(stint completion bash -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -o bashdefault -F _stint stint
`,
  zsh: `#compdef stint
_stint() {
  local -a found
  found=("\${(@f)$(stint completion zsh -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${found[1]}" ]]; then compadd -a found; else _files; fi
}
compdef _stint stint
`,
  fish: `function __stint_complete
  set -l words (commandline -opc) (commandline -ct)
  stint completion fish -- $words[2..-1] 2>/dev/null
end
complete -c stint -n 'count (__stint_complete) >/dev/null' -f -a '(__stint_complete)'
`,
};

/** `stint completion SHELL`: the script; with words after `--`, what may stand for the last of them, one a line. */
export async function run({ screen }: Context, program: Command, shell: string, words: readonly string[]): Promise<number> {
  screen.out.write(
    words.length === 0
      ? (SCRIPTS[shell] ?? "")
      : candidates(program, words)
          .map((word) => `${word}\n`)
          .join(""),
  );
  return 0;
}

/** Words that may stand for the last one; none where it is a file or a name that only a broker knows. */
export function candidates(program: Command, words: readonly string[]): readonly string[] {
  const last = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  if (before.includes("--")) return [];
  const { command, given, waiting } = walk(program, before);
  const all = waiting === undefined ? offered(command, given, last) : (waiting.argChoices ?? []);
  return all.filter((word) => word.startsWith(last));
}

interface Walked {
  readonly command: Command;
  /** Words that are neither commands nor options. */
  readonly given: readonly string[];
  /** The option whose value comes next. */
  readonly waiting: Option | undefined;
}

function walk(program: Command, words: readonly string[]): Walked {
  let command = program;
  let waiting: Option | undefined;
  const given: string[] = [];
  for (const word of words) {
    if (waiting !== undefined) waiting = undefined;
    else if (word.startsWith("-")) {
      const option = command.options.find(({ short, long }) => word === short || word === long);
      if (option?.required === true) waiting = option;
    } else {
      const next = command.commands.find((one) => one.name() === word);
      if (next === undefined) given.push(word);
      else command = next;
    }
  }
  return { command, given, waiting };
}

function offered(command: Command, given: readonly string[], last: string): readonly string[] {
  if (last.startsWith("-")) return [...command.options.flatMap(({ long }) => (long ? [long] : [])), "--help"];
  if (command.commands.length > 0) return given.length > 0 ? [] : command.commands.map((one) => one.name());
  return command.registeredArguments[given.length]?.argChoices ?? [];
}
