import { describe, expect, it } from "@jest/globals";
import { Command, CommanderError } from "commander";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { EXIT } from "../../client/cli/exit-codes.ts";
import { defineAuthoring } from "../../client/cli/program-authoring.ts";
import { defineOperator } from "../../client/cli/program-operator.ts";
import { defineTools } from "../../client/cli/program-tools.ts";
import { defineWorkload } from "../../client/cli/program-workload.ts";
import { blocksIn, codeSpans, page, pages, read, root, table } from "./pages.ts";
import { commandsIn, examples } from "./shell.ts";

/** The command line as it is defined, with nothing behind it. */
function program(): Command {
  const made = new Command("stint").enablePositionalOptions().exitOverride();
  for (const define of [defineWorkload, defineOperator, defineAuthoring, defineTools]) define(made, () => () => Promise.resolve());
  quiet(made);
  return made;
}

function quiet(command: Command): void {
  command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  for (const one of command.commands) quiet(one);
}

/** Commands that do something by themselves though others stand under them. */
const ALSO_ALONE: ReadonlySet<string> = new Set(["doctor"]);

function leaves(command: Command, path: readonly string[] = []): readonly string[] {
  return command.commands.flatMap((one) =>
    one.commands.length > 0
      ? [...(ALSO_ALONE.has(one.name()) ? [one.name()] : []), ...leaves(one, [...path, one.name()])]
      : [[...path, one.name()].join(" ")],
  );
}

async function faultOf(words: readonly string[]): Promise<string | undefined> {
  try {
    await program().parseAsync(
      words.map((word) => (word === "--json" ? "--json=" : word)),
      { from: "user" },
    );
    return undefined;
  } catch (error) {
    if (error instanceof CommanderError) return error.message;
    throw error;
  }
}

/** The command that words lead to, and what is left of them. */
function resolve(words: readonly string[]): {
  readonly command: Command;
  readonly path: readonly string[];
  readonly rest: readonly string[];
} {
  let command = program();
  const path: string[] = [];
  for (const word of words) {
    const next = command.commands.find((one) => one.name() === word);
    if (next === undefined) break;
    command = next;
    path.push(word);
  }
  return { command, path, rest: words.slice(path.length) };
}

describe("commands in the documentation", () => {
  it("are found by this spec", () => {
    expect(commandsIn("A=$(stint request deploy-prod --ttl 5m)\nstint a 'b c' && X=1 stint d | jq\necho stint e")).toEqual([
      ["request", "deploy-prod", "--ttl", "5m"],
      ["a", "b c"],
      ["d"],
    ]);
    expect(examples().length).toBeGreaterThan(40);
  });

  it("are taken by the command line as they stand, flags, values and all", async () => {
    const wrong: string[] = [];
    for (const { page: where, line, words } of examples()) {
      const fault = await faultOf(words);
      if (fault !== undefined) wrong.push(`${where}:${line} stint ${words.join(" ")}: ${fault}`);
    }
    expect(wrong).toEqual([]);
  });

  it("that prose mentions exist, with their flags", () => {
    const wrong: string[] = [];
    for (const one of pages) {
      for (const { line, text } of codeSpans(one)) {
        const [words] = text.startsWith("stint ") ? commandsIn(text) : [];
        if (words === undefined || words[0] === "COMMAND") continue;
        const { command, path, rest } = resolve(words);
        const known = command.options.flatMap(({ long, short }) => [long, short]);
        const before = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
        const strange = before.filter((word) => word.startsWith("-") && !known.includes(word.split("=")[0] ?? ""));
        if (path.length === 0 || strange.length > 0) wrong.push(`${one.path}:${line} ${text}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("are all listed on the page of the command line", () => {
    const listed = table(page("docs/cli.md"), "| Command | Does |").map(([cell = ""]) =>
      resolve(commandsIn(cell.replaceAll("`", ""))[0] ?? []).path.join(" "),
    );
    expect(listed.toSorted()).toEqual(leaves(program()).toSorted());
  });

  it("of npm exist", () => {
    const { scripts } = JSON.parse(read("package.json")) as { readonly scripts: Readonly<Record<string, string>> };
    const text = pages.map((one) => one.text).join("\n");
    const named = new Set([...text.matchAll(/npm run ([a-z:-]+)/g)].map(([, name]) => name));
    expect(named.size).toBeGreaterThan(3);
    expect([...named].filter((name) => name !== undefined && !(name in scripts))).toEqual([]);
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(["test", "start"]));
  });

  it("of the README's test are exactly npm test", () => {
    const lines = blocksIn("sh")
      .filter((block) => block.page === "README.md")
      .flatMap(({ text }) => text.split("\n"));
    expect(lines).toContain("npm test");
    expect(lines).toContain("npm run demo");
  });
});

describe("the demo's transcript in the README", () => {
  it("says what the demo asserts, word for word", () => {
    const transcript = blocksIn("console").find((block) => block.page === "README.md");
    const demo = readdirSync(join(root, "scripts/demo/acts"))
      .map((file) => read(`scripts/demo/acts/${file}`))
      .join("\n");
    const claims = [...(transcript?.text ?? "").matchAll(/^ {3}✓ (.*)$/gm)].map(([, claim = ""]) => claim);
    const acts = [...(transcript?.text ?? "").matchAll(/^(\d) {2}(.*)$/gm)].map(
      ([, number = "", title = ""]) => `act(${number}, "${title}")`,
    );
    expect(claims.length).toBeGreaterThan(5);
    expect(claims.filter((claim) => !demo.includes(claim.replace(/\b\d+ minutes/, "${minutes} minutes")))).toEqual([]);
    expect(acts.filter((act) => !demo.includes(act))).toEqual([]);
  });
});

describe("exit codes in the documentation", () => {
  it("are those of the command and the server, all of them", () => {
    const listed = table(page("docs/cli.md"), "| Code | Means |").map(([code = ""]) => code);
    expect(listed.toSorted()).toEqual([...Object.values(EXIT).map(String), "128+n", "78"].toSorted());
  });
});
