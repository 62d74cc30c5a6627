import type { DeliveryFigures } from "./feed.ts";
import { ms, percent, table, two, whole } from "./columns.ts";
import { layoutTable, startLine } from "./layout-table.ts";
import { NOISY, type Figure } from "./figures.ts";
import type { PostgresReport } from "./postgres.ts";
import { plot } from "./plot.ts";
import type { LaneReport, PathReport } from "./path-reports.ts";
import type { PressureReport } from "./pressure.ts";
import type { BenchReport } from "./run.ts";
import type { StoreReport } from "./store-figures.ts";
import type { VerifyRow } from "./verify.ts";

/** Where the broker's store stands, when it is not where the floor's is. */
const STANDS: Readonly<Record<string, string>> = {
  sentinel: "; the broker's store is a primary with two replicas behind Sentinel, the floor's one Redis",
  cluster: "; the broker's store is a Cluster of three primaries with a replica each, the floor's one Redis",
};

/** The report for people: ratios first, because only they travel between machines; absolute figures after. */
export function renderTable(report: BenchReport): string {
  const { machine, versions, settings, paths, store, verify, feed, x509, postgres, pressure, profiles, layouts, starts, noisy } = report;
  const parts = [
    `Stint ${versions["stint"]} on ${machine.cores} cores (${machine.cpu}, ${machine.system})${machine.pinned ? ", servers pinned to one, load and Redis to another" : ", nothing pinned"}`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
  ];
  if (paths.length > 0) {
    parts.push(
      `${settings.rounds} interleaved rounds, ${settings.seconds} s each, ${settings.connections} connections, appendfsync ${settings.fsync}${STANDS[settings.store] ?? ""}`,
    );
    parts.push("", "RATIOS to the floor of the same run (median of rounds; more is better)", ratios(paths));
    parts.push("", "PLOT: throughput of the floor's", plot(paths));
    parts.push("", "ABSOLUTE (median; they size this machine and nothing else)", absolutes(paths));
  }
  if (store !== undefined) parts.push("", ...storeLines(store));
  if (verify.length > 0) parts.push("", "VERIFY: stint/verify beside jose's bare jwtVerify, in interleaved rounds", goals(verify));
  if (feed.length > 0)
    parts.push("", "FEED: until verifiers' sockets are told (goal: p99 under 6 ms at 100 and under 25 ms at 1,000)", ...deliveries(feed));
  if (x509.length > 0) parts.push("", "X509: certificates beside the bare cryptography, in interleaved rounds", goals(x509));
  if (postgres !== undefined) parts.push("", ...postgresLines(postgres));
  for (const { program, requests, flameGraph, parts: costs } of profiles) {
    const rows = costs.filter(({ us }) => us >= 0.5).map(({ part, us }) => [part, us.toFixed(1)]);
    const total = costs.reduce((sum, { us }) => sum + us, 0).toFixed(0);
    parts.push(
      "",
      `PROFILE of the ${program}: us of its main thread for each of ${requests} requests, ${total} in all; drawn in ${flameGraph}`,
    );
    parts.push(table(["part", "us"], rows));
  }
  if (pressure !== undefined)
    parts.push(
      "",
      `LOAD: one process serves ${whole(pressure.saturation.median)} issue requests a second; shares of that asked for`,
      load(pressure),
    );
  if (layouts.length > 0)
    parts.push("", "LAYOUTS: what Redis spends on a lease from its opening to its end, all primaries together", layoutTable(layouts));
  if (starts !== undefined) parts.push("", startLine(starts));
  if (noisy.length > 0) {
    parts.push(
      "",
      `NOISY: throughput differed between rounds by more than ${percent(NOISY)}: ${noisy.join(", ")}. Trust the ratios only so far, and no absolute figure.`,
    );
  }
  return `${parts.join("\n")}\n`;
}

function ratios(paths: readonly PathReport[]): string {
  const rows = paths.map(({ path, ratio, cpuRatio, goal }) => [
    path,
    two(ratio.median),
    `${two(ratio.min)} to ${two(ratio.max)}`,
    cpuRatio === undefined ? "-" : two(cpuRatio.median),
    two(goal),
    ratio.median >= goal ? "met" : "missed",
  ]);
  return table(["path", "throughput", "range", "CPU", "goal", ""], rows);
}

function absolutes(paths: readonly PathReport[]): string {
  const rows = paths.flatMap((report) => {
    const lanes = [report.floor, report.broker, ...report.others].map((lane) => [report.path, ...laneCells(lane)]);
    const { atEighty } = report;
    if (atEighty === undefined) return lanes;
    return [
      ...lanes,
      [report.path, "broker at 80 %", whole(atEighty.perSecond), "-", ms(atEighty.p50Ms), ms(atEighty.p99Ms), "-", "-", "-"],
    ];
  });
  return table(["path", "program", "req/s", "spread", "p50", "p99", "CPU us", "Redis us", "core busy"], rows);
}

function laneCells({ lane, perSecond, p50Ms, p99Ms, cpuUs, redisUs, busy }: LaneReport): readonly string[] {
  const optional = (figure: Figure | undefined, render: (value: number) => string): string =>
    figure === undefined ? "-" : render(figure.median);
  return [
    lane,
    whole(perSecond.median),
    percent(perSecond.spread),
    ms(p50Ms.median),
    ms(p99Ms.median),
    optional(cpuUs, whole),
    whole(redisUs.median),
    optional(busy, percent),
  ];
}

/** Up to 80 percent of what it can do, p99 stays within three times what it is alone; past that, what is served does not fall. */
function load({ saturation, saturationCpuUs, unloaded, rows }: PressureReport): string {
  const cells = [unloaded, ...rows].map(({ share, served, shed, p50Ms, p99Ms, cpuUs }) => {
    const [kept, slower] = [served.median / Math.min(share, 1) / saturation.median, p99Ms.median / unloaded.p99Ms.median];
    const met = share === unloaded.share ? "" : (share <= 0.8 ? slower <= 3 : kept >= 0.95) ? "met" : "missed";
    const cpu = saturationCpuUs === undefined || cpuUs === undefined ? "-" : two(saturationCpuUs.median / cpuUs.median);
    return [percent(share), two(kept), cpu, two(slower), whole(served.median), whole(shed.median), ms(p50Ms.median), ms(p99Ms.median), met];
  });
  return table(["asked", "served of what it can", "by its CPU", "p99 of unloaded", "served/s", "refused/s", "p50", "p99", ""], cells);
}

function goals(rows: readonly VerifyRow[]): string {
  const cells = rows.map(({ name, unit, figure, goal, met }) => {
    const value = figure.median;
    return [
      name,
      value < 100 ? two(value) : whole(value),
      unit,
      goal === undefined ? "-" : String(goal),
      met === undefined ? "" : met ? "met" : "missed",
    ];
  });
  return table(["what", "median", "unit", "goal", ""], cells);
}

function deliveries(figures: readonly DeliveryFigures[]): readonly string[] {
  const told = figures.map(({ verifiers, floor, ended, asked, marked, idleCpuMs }) => [
    String(verifiers),
    ...[floor.p50, floor.p99, floor.round99, ended.p50, ended.p99, ended.round99].map(ms),
    two(ended.round99 / floor.round99),
    ...[asked.p50, asked.round99, marked.round99].map(ms),
    `${whole(idleCpuMs)} ms/s`,
  ]);
  const head = [
    "verifiers",
    "floor p50",
    "p99",
    "99 % told",
    "ended p50",
    "p99",
    "99 % told",
    "ratio",
    "asked p50",
    "99 % told",
    "mark 64",
    "idle CPU",
  ];
  const refused = figures.map(({ verifiers, covered, refusedOne, refusedMark }) => [
    String(verifiers),
    ms(refusedOne.p50),
    ms(refusedOne.p99),
    covered.toLocaleString("en"),
    ms(refusedMark.p50),
    ms(refusedMark.p99),
    two(refusedMark.p50 / refusedOne.p50),
  ]);
  return [
    table(head, told),
    "  (99 % told: in the median round. ended: in the store; asked: over HTTP; mark 64: on a grant, the first words of it)",
    "",
    "REFUSAL: until the verifier that is told last refuses the token; one lease beside a mark on its workload",
    table(["verifiers", "one p50", "p99", "leases marked", "mark p50", "p99", "ratio"], refused),
  ];
}

function storeLines({ leases, openedPerSecond, memory, sweep, mark }: StoreReport): readonly string[] {
  const lines = [`STORE at ${leases.toLocaleString("en")} live leases (opened at ${whole(openedPerSecond)}/s by one client)`];
  if (memory !== undefined) {
    lines.push(
      `memory: ${whole(memory.byBudget)} bytes a lease (budget ${memory.budget}); ${whole(memory.perLease)} with the look-up by credential`,
    );
    lines.push(
      table(
        ["part", "bytes"],
        memory.parts.map(({ part, bytes }) => [part, whole(bytes)]),
      ),
    );
  }
  if (sweep !== undefined) {
    lines.push(
      `sweep: ${sweep.due} due in ${whole(sweep.ms)} ms, ${whole(sweep.perSecond)}/s (goal ${whole(sweep.goalPerSecond)}), Redis ${whole(sweep.redisUs)} us each; a look with nothing due ${ms(sweep.emptyMs.median)}`,
    );
  }
  if (mark !== undefined) {
    lines.push(
      `mark over ${mark.covered} leases of a workload: ${ms(mark.ms.median)} at the broker (goal 5 ms), ${mark.redisMs.toFixed(3)} ms in Redis (goal 1 ms); clean-up behind it ${whole(mark.cleanedPerSecond)}/s`,
    );
  }
  return lines;
}

function postgresLines({ server, leases, due }: PostgresReport): readonly string[] {
  const row = (name: string, { median, min, max }: Figure, render: (value: number) => string): readonly string[] => [
    name,
    render(median),
    `${render(min)} to ${render(max)}`,
  ];
  const met = due.seconds <= due.goalSeconds && due.mostConnections <= 8 ? "met" : "missed";
  return [
    `POSTGRES: roles made and ended by our issuer beside the same statements in pgbench, eight connections each (${server})`,
    table(
      ["leases per second", "median", "range"],
      [row("ratio", leases.ratio, two), row("issuer", leases.ours, whole), row("pgbench", leases.pgbench, whole)],
    ),
    `CPU of the issuer: ${whole(leases.cpuUs)} us a lease, most of it the password's SCRAM verifier`,
    `${due.roles.toLocaleString("en")} roles due at once: ${due.seconds.toFixed(1)} s, ${whole(due.roles / due.seconds)}/s (goal ${due.goalSeconds.toFixed(1)} s: ${met}), at most ${due.mostConnections} connections`,
    `making one takes ${ms(due.base.p50)} (p99 ${ms(due.base.p99)}); meanwhile ${ms(due.meanwhile.p50)} (p99 ${ms(due.meanwhile.p99)}), ${due.made} made`,
  ];
}
