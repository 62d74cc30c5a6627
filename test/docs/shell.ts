import { blocksIn, type Block } from "./pages.ts";

/** A command of ours as an example shows it: the words after `stint`. */
export interface Example {
  readonly page: string;
  readonly line: number;
  readonly words: readonly string[];
}

/** Words of a line as a shell would part them; what ends a command stands as a word of its own. */
export function wordsOf(line: string): readonly string[] {
  const found = line.matchAll(/\s+|(&&|\|\||[|;()])|((?:\$\(|"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'|;()&])+)|&/g);
  const words: string[] = [];
  for (const [, end, word] of found) {
    if (end !== undefined) words.push(end);
    if (word !== undefined) words.push(...parted(word));
  }
  return words;
}

/** `A=$(stint` is the beginning of another command. */
function parted(word: string): readonly string[] {
  const [before, after] = word.split("$(");
  if (after !== undefined && before !== undefined) return [before, "$(", after];
  return [
    word.replaceAll(
      /"((?:[^"\\]|\\.)*)"|'([^']*)'/g,
      (_, double: string | undefined, single: string | undefined) => double ?? single ?? "",
    ),
  ];
}

const ENDS = new Set(["&&", "||", "|", ";", ")", "$("]);

/** Every command of a text that begins with `stint`. */
export function commandsIn(text: string): readonly (readonly string[])[] {
  const found: string[][] = [];
  for (const line of text.replaceAll("\\\n", " ").split("\n")) {
    let current: string[] | undefined;
    let start = true;
    for (const word of wordsOf(line.replace(/^\s*\$ /, ""))) {
      if (ENDS.has(word)) {
        current = undefined;
        start = true;
      } else if (current !== undefined) current.push(word);
      else if (start && word === "stint") found.push((current = []));
      else start = start && /^[A-Z_]+=/.test(word);
    }
  }
  return found;
}

/** What the shell examples and the workflows' `run:` lines say. */
export function examples(): readonly Example[] {
  const from = (block: Block, text: string): readonly Example[] =>
    commandsIn(text).map((words) => ({ page: block.page, line: block.line, words }));
  const shell = blocksIn("sh", "console").flatMap((block) => from(block, block.text));
  const workflows = blocksIn("yaml").flatMap((block) =>
    block.info === "yaml workflow" ? [...block.text.matchAll(/run: (.*)$/gm)].flatMap(([, text = ""]) => from(block, text)) : [],
  );
  return [...shell, ...workflows];
}
