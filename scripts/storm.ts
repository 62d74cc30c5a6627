import { killStorm } from "../test/support/kill-storm.ts";

// `npm run storm -- 1000 [--postgres]`: kills a broker that often at random instants and says what is left. Anything but zeros is a
// defect. With --postgres the credentials are roles of a real Postgres.
const args = process.argv.slice(2);
const kills = Number(args.find((arg) => /^\d+$/.test(arg)) ?? 100);
const started = performance.now();
const say = (line: string): void => void process.stderr.write(`  ${line}\n`);
const report = await killStorm(kills, { say, system: args.includes("--postgres") ? "postgres" : "file" });
const bad = report.orphans + report.lost + report.revived + report.unaccounted + report.overdue;
process.stdout.write(`${JSON.stringify({ ...report, seconds: Math.round((performance.now() - started) / 1000) })}\n`);
process.exitCode = bad === 0 ? 0 : 1;
