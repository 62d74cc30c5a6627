import type { TargetView } from "../../domain/wire.ts";
import type { Context } from "./context.ts";
import { printList, type Column, type Machine } from "./output.ts";
import { clean, type Screen } from "./screen.ts";
import { relative } from "./times.ts";

/** `stint target ls` */
export async function run(context: Context, options: Machine): Promise<number> {
  const page = await context.operator().targets();
  await printList(
    context.screen,
    {
      schema: "target/v1",
      items: page.items,
      columns: targetColumns(context.screen, context.clock()),
      empty: "There is no target: everything is signed here.",
      nextCursor: page.next_cursor,
    },
    options,
  );
  return 0;
}

/** What a list of targets shows. */
export function targetColumns(screen: Screen, now: number): readonly Column<TargetView>[] {
  const stateOf: Readonly<Record<TargetView["state"], string>> = {
    open: screen.color.green("● open"),
    failing: screen.color.yellow("! failing"),
    left_alone: screen.color.red("✗ left alone"),
    retired: screen.color.dim("· retired"),
  };
  const note = ({ trouble, findings, warnings }: TargetView): string => {
    if (trouble !== null) return `${trouble.what}: ${clean(trouble.error)} (${relative(trouble.at, now)})`;
    if (findings?.mode === "shown" && findings.orphaned + findings.missed > 0)
      return `would end ${findings.orphaned} orphans and ${findings.missed} leases whose thing is gone`;
    return clean(warnings[0] ?? "");
  };
  return [
    { title: "target", whole: true, value: (one) => one.name },
    { title: "issuer", value: (one) => one.issuer },
    { title: "state", value: (one) => one.state, show: (one) => stateOf[one.state] },
    { title: "revocation", value: (one) => one.revocation },
    { title: "ending", value: (one) => String(one.ending + one.waiting) },
    {
      title: "compared",
      value: (one) => one.findings?.at ?? "",
      show: (one) => (one.findings === null ? "" : relative(one.findings.at, now)),
    },
    {
      title: "password",
      value: (one) => one.password_changed_at ?? "",
      show: (one) => (one.password_changed_at === null ? "" : relative(one.password_changed_at, now)),
    },
    { title: "note", whole: true, value: note }, // last, and what one looks for: it may run over the edge
  ];
}
