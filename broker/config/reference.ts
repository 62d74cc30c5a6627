import { VARIABLES, type About } from "./environment.ts";

/** `.env.example`: every variable, commented out, with its default. */
export function renderEnvExample(): string {
  const head = [
    "# The server's environment. Every line is optional; what is commented out is the default.",
    "# Made from the schema by `npm run generate`.",
  ];
  const blocks = VARIABLES.map((variable) => {
    const comment = wrap(`${plain(variable.meaning)} Expected: ${variable.expected}.${note(variable)}`, 100);
    return ["", ...comment.map((line) => `# ${line}`), `#${variable.name}=${literalDefault(variable) ?? ""}`];
  });
  return [...head, ...blocks.flat(), ""].join("\n");
}

/** `docs/configuration.md`: the reference of the server's environment. */
export function renderReference(): string {
  const rows = VARIABLES.map(
    ({ name, meaning, expected, byDefault, secret }) =>
      `| \`${name}\`${secret === true ? `<br>\`${name}_FILE\`` : ""} | ${cell(expected)} | ${cell(byDefault)} | ${cell(meaning)} |`,
  );
  return [
    "# Configuration reference",
    "",
    "<!-- Made from the schema by `npm run generate`; a spec keeps them in step. -->",
    "",
    "The server reads its environment once, at start. Everything that is wrong is reported together, each with the variable's name and",
    "what was expected, never with its value, and the server ends with exit code 78. An empty variable counts as absent. A variable",
    "that begins with `STINT_` and is not known is a warning that names the nearest known one.",
    "",
    "A variable with a `_FILE` form may name a file that holds the value instead. Setting both is a mistake, and so is a file that",
    "others may write.",
    "",
    "| Variable | Expected | Default | Meaning |",
    "|---|---|---|---|",
    ...rows,
    "",
    "Trusts, grants, targets, verifiers and settings are documents in the folder that `STINT_CONFIG` names: see the [policy guide](policy.md).",
    "",
  ].join("\n");
}

/** The value that an absent variable stands for, where it is one value. */
function literalDefault({ byDefault }: About): string | undefined {
  return /^`([^`]+)`$/.exec(byDefault)?.[1];
}

function note(variable: About & { readonly name: string }): string {
  const words = literalDefault(variable) === undefined ? ` Default: ${plain(variable.byDefault)}.` : "";
  return variable.secret === true ? `${words} ${variable.name}_FILE names a file instead.` : words;
}

const plain = (text: string): string => text.replaceAll("`", "");
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<hex>", "&lt;hex&gt;");

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + word.length + 1 > width) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
