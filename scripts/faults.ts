import { FAULTS } from "../test/support/faults/faults.ts";

// `npm run faults`: lists them. `npm run faults -- F5 A16`: brings them about, in full; `--short` as the suite does. 1 if a promise broke.
const args = process.argv.slice(2);
const form = args.includes("--short") ? "short" : "long";
const asked = args.filter((arg) => !arg.startsWith("-"));
const chosen = asked.includes("all") ? FAULTS : FAULTS.filter(({ id }) => asked.includes(id));
const unknown = asked.filter((id) => id !== "all" && !FAULTS.some((fault) => fault.id === id));

if (chosen.length === 0 || unknown.length > 0) {
  if (unknown.length > 0) process.stderr.write(`faults: there is no ${unknown.join(", ")}\n`);
  process.stdout.write(
    `npm run faults -- all | ID... [--short]\n\n${FAULTS.map(({ id, what }) => `  ${id.padEnd(4)} ${what}`).join("\n")}\n`,
  );
  process.exitCode = unknown.length > 0 ? 2 : 0;
}
for (const { id, what, run } of chosen) {
  process.stderr.write(`${id}: ${what}\n`);
  const startedAt = performance.now();
  const { figures, broken } = await run(form, (line) => void process.stderr.write(`  ${line}\n`));
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  process.stdout.write(`${JSON.stringify({ fault: id, form, holds: broken.length === 0, broken, ...figures, seconds })}\n`);
  if (broken.length > 0) process.exitCode = 1;
}
