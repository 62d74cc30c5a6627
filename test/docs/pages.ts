import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** The project's root; specs run from `dist/test/docs`. */
export const root = join(import.meta.dirname, "../../..");

/** Text of a file of the project. */
export const read = (path: string): string => readFileSync(join(root, path), "utf8");
export const exists = (path: string): boolean => existsSync(join(root, path));

export interface Block {
  readonly page: string;
  /** First line of its content, from 1. */
  readonly line: number;
  /** `yaml policy`: the language, and what the example is of. */
  readonly info: string;
  readonly text: string;
}

export interface Link {
  readonly line: number;
  readonly text: string;
  readonly target: string;
}

export interface Page {
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
  /** Everything outside the blocks, line by line. */
  readonly prose: readonly string[];
  /** As GitHub makes them from headings. */
  readonly anchors: ReadonlySet<string>;
  readonly links: readonly Link[];
}

/** Every page that people read: those of the root, and those of `docs`. */
export const pages: readonly Page[] = [
  ...markdownIn("."),
  ...markdownIn("docs"),
  ...markdownIn("docs/decisions"),
  ...markdownIn("docs/issuers"),
].map(pageOf);

/** One page by its path. */
export function page(path: string): Page {
  const found = pages.find((one) => one.path === path);
  if (found === undefined) throw new Error(`there is no page ${path}`);
  return found;
}

/** All blocks whose language is one of these. */
export const blocksIn = (...languages: readonly string[]): readonly Block[] =>
  pages.flatMap(({ blocks }) => blocks.filter(({ info }) => languages.includes(info.split(" ")[0] ?? "")));

/** Everything in backticks outside the blocks, with its place. */
export const codeSpans = (of: Page): readonly { readonly line: number; readonly text: string }[] =>
  of.prose.flatMap((line, index) => [...line.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => ({ line: index + 1, text })));

/** Cells of the table that begins with this heading row, without it; backslashes before a bar are taken away. */
export function table(of: Page, heading: string): readonly (readonly string[])[] {
  const start = of.prose.findIndex((line) => line.startsWith(heading));
  if (start < 0) throw new Error(`${of.path} has no table ${heading}`);
  const rows: (readonly string[])[] = [];
  for (const line of of.prose.slice(start + 2)) {
    if (!line.startsWith("|")) break;
    rows.push(
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll("\\|", "|")),
    );
  }
  return rows;
}

/** The words in backticks of a cell. */
export const words = (cell: string): readonly string[] => [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, text = ""]) => text.split(" "));

/** The path that a link leads to, from the root; and its anchor. */
export function destination(from: string, target: string): { readonly path: string; readonly anchor: string | undefined } {
  const [path = "", anchor] = target.split("#");
  return { path: path === "" ? from : normalize(join(dirname(from), path)), anchor };
}

function markdownIn(folder: string): readonly string[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => normalize(join(folder, name)));
}

function pageOf(path: string): Page {
  const text = read(path);
  const prose: string[] = [];
  const blocks: Block[] = [];
  let open: { info: string; line: number; lines: string[] } | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^```(.*)$/.exec(line);
    prose.push(open === undefined && fence === null ? line : "");
    if (fence === null) open?.lines.push(line);
    else if (open === undefined) open = { info: (fence[1] ?? "").trim(), line: index + 2, lines: [] };
    else {
      blocks.push({ page: path, line: open.line, info: open.info, text: open.lines.join("\n") });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`${path}:${open.line} is never closed`);
  return { path, text, blocks, prose, anchors: anchorsOf(prose), links: linksOf(prose) };
}

function anchorsOf(prose: readonly string[]): ReadonlySet<string> {
  const headings = prose.flatMap((line) => /^#{1,6} (.*)$/.exec(line)?.[1] ?? []);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replaceAll(/\s/g, "-"),
    ),
  );
}

function linksOf(prose: readonly string[]): readonly Link[] {
  return prose.flatMap((line, index) =>
    [...line.matchAll(/\[((?:[^\]`]|`[^`]*`)*)\]\(([^)\s]+)\)/g)].map(([, text = "", target = ""]) => ({ line: index + 1, text, target })),
  );
}
