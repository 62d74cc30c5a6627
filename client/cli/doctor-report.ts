import { count, type Finding, type Status } from "../doctor/finding.ts";
import { EXIT } from "./exit-codes.ts";
import { line, printJson, type Machine } from "./output.ts";
import { clean, note, type Screen } from "./screen.ts";

interface Report {
  readonly schema: string;
  /** Whom it is about. */
  readonly subject: string;
  readonly findings: readonly Finding[];
}

/** Shows findings: rows on a terminal, tab-separated in a pipe, or JSON. Answers 9 when something failed. */
export function printFindings(screen: Screen, { schema, subject, findings }: Report, machine: Pick<Machine, "json">): number {
  const of = (status: Status): number => findings.filter((one) => one.status === status).length;
  const failed = of("fail");
  if (machine.json !== undefined) printJson(screen, { schema, subject, ok: failed === 0, items: findings });
  else {
    const wide = Math.max(...findings.map(({ check }) => check.length));
    for (const one of findings) line(screen, screen.tty ? shown(screen, one, wide) : piped(one));
    const sentence = [failed > 0 ? `${failed} failed` : "nothing failed", count(of("warn"), "warning"), `${of("left_out")} left out`].join(
      ", ",
    );
    const { errColor } = screen;
    note(screen, `${failed > 0 ? errColor.red("✗") : errColor.green("✓")} ${subject}: ${sentence}`);
  }
  return failed > 0 ? EXIT.check : EXIT.ok;
}

const piped = ({ status, check, what, why, next }: Finding): string => [status, check, what, why ?? "", next ?? ""].map(clean).join("\t");

function shown({ color }: Screen, { status, check, what, why, next }: Finding, wide: number): string {
  const mark = { ok: color.green("✓"), warn: color.yellow("!"), fail: color.red("✗"), left_out: color.dim("·") }[status];
  const under = " ".repeat(wide + 4);
  const rows = [`${mark} ${clean(check).padEnd(wide)}  ${clean(what)}`];
  if (why) rows.push(`${under}${color.dim("why ")} ${clean(why)}`);
  if (next) rows.push(`${under}${color.dim("next")} ${clean(next)}`);
  return rows.join("\n");
}
