import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The project's root. */
export const root = join(import.meta.dirname, "../../..");
export const text = (path: string): string => readFileSync(join(root, path), "utf8");

/** One instruction, its continuation lines joined. */
export interface Instruction {
  readonly word: string;
  readonly rest: string;
}

/** The stages of the Dockerfile, each from its FROM on. */
export function stages(): readonly (readonly Instruction[])[] {
  const lines = text("Dockerfile")
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/\\\n\s*/g, "")
    .split("\n");
  const all = lines.flatMap((line) => {
    const [, word, rest] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    return word === undefined || rest === undefined ? [] : [{ word, rest: rest.trim() }];
  });
  const made: Instruction[][] = [];
  for (const one of all) {
    if (one.word === "FROM") made.push([]);
    made.at(-1)?.push(one);
  }
  return made;
}

/** The stage that becomes the image. */
export const image = (): readonly Instruction[] => stages().at(-1) ?? [];

/** What a stage copies: from which stage, if any, which paths, and to where. */
export const copies = (
  stage: readonly Instruction[],
): readonly { readonly from: string | undefined; readonly paths: readonly string[]; readonly to: string }[] =>
  stage
    .filter(({ word }) => word === "COPY")
    .map(({ rest }) => {
      const words = rest.split(/\s+/);
      const from = words.find((word) => word.startsWith("--from="))?.slice("--from=".length);
      const paths = words.filter((word) => !word.startsWith("--"));
      return { from, paths: paths.slice(0, -1), to: paths.at(-1) ?? "" };
    });

/** Variables that a stage sets. */
export const variables = (stage: readonly Instruction[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    stage.filter(({ word }) => word === "ENV").flatMap(({ rest }) => rest.split(/\s+/).map((pair) => pair.split("=") as [string, string])),
  );
