/**
 * npm run bench: what the hot paths cost beside the floor, measured in the same run, and what the store costs per lease. It starts
 * its own Redis, its own floor and its own broker, and stops them.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { changesOf, Landed, landedOf, regressions, renderChanges } from "./bench/landed.ts";
import { readOptions, USAGE } from "./bench/options.ts";
import { benchmark } from "./bench/run.ts";
import { renderTable } from "./bench/table.ts";

/** Kept in the repository: what the ratios were when they were last looked at. */
const LANDED = join(import.meta.dirname, "../../docs/bench/last.json");

const say = (text: string): void => void process.stderr.write(`bench: ${text}\n`);

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    console.log(USAGE);
    return 0;
  }
  let options;
  try {
    options = readOptions(args, say);
  } catch (error) {
    say(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    return 2;
  }
  const report = await benchmark(options);
  const json = `${JSON.stringify(report, undefined, 2)}\n`;
  writeFileSync(options.out, json);
  process.stdout.write(options.json ? json : renderTable(report));
  say(`the report is in ${options.out}`);
  return options.landed === "left" ? 0 : against(options.landed, landedOf(report));
}

/** Holds the ratios against the last landed report, or lets them take its place; a worse one is a failed check (9). */
function against(how: "compared" | "replaced", now: Landed): number {
  if (how === "replaced") {
    mkdirSync(dirname(LANDED), { recursive: true });
    writeFileSync(LANDED, `${JSON.stringify(now, undefined, 2)}\n`);
    say(`${LANDED} has these ratios now`);
    return 0;
  }
  const was = Landed.parse(JSON.parse(readFileSync(LANDED, "utf8")));
  const changes = changesOf(was, now);
  process.stdout.write(`\n${renderChanges(changes, was)}`);
  return regressions(changes).length > 0 ? 9 : 0;
}

// Servers are children of ours: however we end, they end with us.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
process.exitCode = await main(process.argv.slice(2));
