import { isId } from "../../domain/ids.ts";
import type { ExplainBody, ExplainView } from "../../domain/wire.ts";
import { readClaims } from "./can-i.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { line, printRecord, type Machine } from "./output.ts";
import { clean, type Screen } from "./screen.ts";
import { clockTime } from "./times.ts";

export interface Supposed {
  readonly grant?: string;
  readonly trust?: string;
  readonly claims?: string;
}

type Trace = ExplainView["trace"];
type Rule = Trace["rules"][number];

/** `stint policy explain den_...` */
export async function run(context: Context, options: Machine & Supposed, denial?: string): Promise<number> {
  const view = await context.operator().explain(await question(options, denial));
  if (options.json !== undefined) printRecord(context.screen, { schema: "explanation/v1", item: view, rows: [] }, options);
  else page(context, view);
  return 0;
}

async function question(options: Supposed, denial: string | undefined): Promise<ExplainBody> {
  if (denial !== undefined) {
    if (!isId("den", denial))
      throw new UsageError(`"${clean(denial)}" is not the id of a denial`, "It begins with den_ and stands in every refusal.");
    return { denial_id: denial };
  }
  return await supposedCase(options);
}

/** A request that somebody supposes: all three options or none make sense. */
export async function supposedCase({
  grant,
  trust,
  claims,
}: Supposed): Promise<{ grant: string; trust: string; claims: Record<string, unknown> }> {
  if (grant === undefined || trust === undefined || claims === undefined)
    throw new UsageError("what should be explained?", "Give a den_... id, or --grant, --trust and --claims together.");
  return { grant, trust, claims: await readClaims(claims) };
}

function page({ screen, clock }: Context, view: ExplainView): void {
  const { color } = screen;
  const { denial, trace, today } = view;
  const who = denial?.principal == null ? "" : ` · ${clean(denial.principal.workload)}`;
  const title = denial === null ? `Supposed request` : `Denial ${denial.id}`;
  line(
    screen,
    `${color.bold(title)} · ${clean(trace.grant || "no grant")}${who}${denial === null ? "" : color.dim(`  ${clockTime(denial.at, clock())}`)}`,
  );
  if (denial !== null)
    line(
      screen,
      `  Caller was told: ${denial.code}${denial.failed_claims === undefined ? "" : ` [${denial.failed_claims.map(clean).join(", ")}]`}`,
    );
  if (denial === null)
    line(screen, `  Would be ${view.allowed ? color.green("allowed") : color.red(`denied (${view.code ?? "not_permitted"})`)}`);
  nearestPart(screen, trace);
  for (const rule of trace.rules.filter((one) => one.effect === "deny" && one.matched)) rulePart(screen, rule, "Also blocked by");
  otherRules(screen, trace);
  if (today !== null)
    line(
      screen,
      `  On the policy now in force (${clean(today.trace.policy)}): ${today.allowed ? color.green("allowed") : color.red(`denied (${today.code ?? "not_permitted"})`)}`,
    );
}

function nearestPart(screen: Screen, trace: Trace): void {
  const { color } = screen;
  if (!trace.grant_exists) return line(screen, "  There is no grant of that name; the caller cannot tell.");
  if (trace.nearest === null) return line(screen, "  No allow rule is for this trust.");
  const rule = trace.rules.find((one) => one.rule === trace.nearest?.rule);
  if (rule !== undefined) rulePart(screen, rule, "Nearest rule", `matched ${trace.nearest.held} of ${trace.nearest.of}`);
  if (trace.nearest.change.length > 0) {
    line(
      screen,
      `  ${color.bold("Would pass if:")} ${trace.nearest.change.map(clean).join("; ")}  ${color.dim(`(smallest change, ${trace.nearest.change.length})`)}`,
    );
  }
  if (!trace.candidate)
    line(screen, color.dim("  The caller is no candidate for this grant: it was told the same as for a grant that does not exist."));
}

function rulePart(screen: Screen, rule: Rule, label: string, more = ""): void {
  const { color } = screen;
  line(screen, `  ${color.bold(`${label}:`)} ${clean(rule.file)}:${rule.line} ${color.dim(`(${clean(rule.rule)})`)}  ${more}`.trimEnd());
  const wide = Math.max(0, ...rule.conditions.map((one) => one.condition.length));
  for (const { condition, held, wanted, got, note } of rule.conditions) {
    const mark = held ? color.green("✓") : color.red("✗");
    const name = clean(condition).padEnd(wide);
    const was = got === undefined ? `(${note ?? "absent"})` : clean(typeof got === "string" ? got : JSON.stringify(got));
    if (condition === "when") line(screen, `    ${mark} ${name}  ${clean(wanted)}${note === undefined ? "" : `  (${clean(note)})`}`);
    else line(screen, held ? `    ${mark} ${name}  ${was}` : `    ${mark} ${name}  wanted ${clean(wanted)}  got ${color.yellow(was)}`);
  }
}

/** The rest on one line each: how far they were. */
function otherRules(screen: Screen, trace: Trace): void {
  const rest = trace.rules.filter((one) => one.rule !== trace.nearest?.rule && !(one.effect === "deny" && one.matched));
  for (const one of rest) {
    const failed = one.conditions.filter((condition) => !condition.held).map((condition) => condition.condition);
    const how = one.applies
      ? one.matched
        ? "matched"
        : `${one.effect === "deny" ? "did not match" : "not met"}: ${failed.map(clean).join(", ")}`
      : "for another trust";
    line(screen, screen.color.dim(`  ${one.effect.padEnd(5)} ${clean(one.rule)}  ${clean(one.file)}:${one.line}  ${how}`));
  }
}
