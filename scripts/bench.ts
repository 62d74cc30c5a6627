/**
 * npm run bench: what the hot paths cost beside the floor, measured in the same run, and what the store costs per lease. It starts
 * its own Redis, its own floor and its own broker, and stops them.
 */
import { writeFileSync } from "node:fs";
import { readOptions, USAGE } from "./bench/options.ts";
import { benchmark } from "./bench/run.ts";
import { renderTable } from "./bench/table.ts";

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
  return 0;
}

// Servers are children of ours: however we end, they end with us.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
process.exitCode = await main(process.argv.slice(2));
