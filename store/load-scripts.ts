import { hash } from "node:crypto";
import { readFileSync } from "node:fs";
import { SCRIPTS, type ArgKind, type ScriptName } from "./scripts.ts";

export interface LoadedScript {
  readonly text: string;
  readonly sha1: string;
  /** Arguments that travel together, behind `now` and `agreed`, as one JSON array: a command's cost is in their number. */
  readonly packed: readonly string[];
  /** Arguments that travel by themselves, behind it. */
  readonly raw: readonly string[];
}

const read = (file: string): string => readFileSync(new URL(`./lua/${file}.lua`, import.meta.url), "utf8");
const FLAGS = { any: "allow-oom", none: "no-writes", room: "" } as const;

function load(name: ScriptName, lib: string): LoadedScript {
  const { writes, args } = SCRIPTS[name];
  const kinds: Readonly<Record<string, ArgKind>> = args;
  const packed = Object.keys(kinds).filter((arg) => kinds[arg] !== "raw");
  const raw = Object.keys(kinds).filter((arg) => kinds[arg] === "raw");
  const locals = [
    `local ${["now", "agreed", ...packed].join(", ")} = unpack(cjson.decode(ARGV[1]))`,
    ...raw.map((arg, index) => `local ${arg} = ARGV[${index + 2}]`),
  ];
  const flags = FLAGS[writes];
  const body = read(name);
  const text = [`#!lua${flags === "" ? "" : ` flags=${flags}`}`, needed(lib, body), ...locals, body].join("\n");
  return { text, sha1: hash("sha1", text, "hex"), packed, raw };
}

/**
 * Of the shared page only what a script uses: Redis makes every function of a script anew at every call. Its top-level statements
 * begin with `local` in the first column, and use only what stands above them.
 */
function needed(lib: string, body: string): string {
  const wordsOf = (text: string): readonly string[] => text.replaceAll(/--.*$/gm, "").match(/[A-Za-z_]\w*/g) ?? [];
  const used = new Set(wordsOf(body));
  const kept: string[] = [];
  for (const part of lib.split(/^(?=local )/m).toReversed()) {
    const [, names = ""] = /^local (?:function (?=\w))?([\w, ]+)/.exec(part) ?? [];
    if (!names.split(",").some((name) => used.has(name.trim()))) continue;
    for (const word of wordsOf(part)) used.add(word);
    kept.unshift(part);
  }
  return kept.join("");
}

/** All scripts, with their SHA-1; `channel` is where they say that the feed goes on. Read once, when a store is opened. */
export function loadScripts(channel: string): ReadonlyMap<ScriptName, LoadedScript> {
  const lib = `local CHANNEL = "${channel}"\n${read("lib")}`;
  return new Map((Object.keys(SCRIPTS) as ScriptName[]).map((name) => [name, load(name, lib)]));
}
