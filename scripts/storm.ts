import { killStorm } from "../test/support/kill-storm.ts";

// `npm run storm -- 1000`: kills a broker that often at random instants and says what is left. Anything but zeros is a defect.
const kills = Number(process.argv[2] ?? 100);
const started = performance.now();
const report = await killStorm(kills, (line) => void process.stderr.write(`  ${line}\n`));
const bad = report.orphans + report.lost + report.revived + report.unaccounted + report.overdue;
process.stdout.write(`${JSON.stringify({ ...report, seconds: Math.round((performance.now() - started) / 1000) })}\n`);
process.exitCode = bad === 0 ? 0 : 1;
