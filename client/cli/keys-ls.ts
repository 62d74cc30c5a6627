import type { KeyView } from "../../domain/wire.ts";
import type { Context } from "./context.ts";
import { printList, type Column, type Machine } from "./output.ts";
import type { Screen } from "./screen.ts";
import { relative } from "./times.ts";

/** `stint keys ls` */
export async function run(context: Context, options: Machine): Promise<number> {
  const page = await context.operator().keys();
  await printList(
    context.screen,
    {
      schema: "key/v1",
      items: page.items,
      columns: keyColumns(context.screen, context.clock()),
      empty: "There is no signing key.",
      nextCursor: page.next_cursor,
    },
    options,
  );
  return 0;
}

/** What a list of signing keys shows. */
export function keyColumns(screen: Screen, now: number): readonly Column<KeyView>[] {
  const coloured = (one: KeyView): string => {
    if (one.state === "active") return screen.color.green("● active");
    if (one.state === "withdrawn") return screen.color.red("✗ withdrawn");
    return one.state === "announced" ? "○ announced" : screen.color.dim(`· ${one.state}`);
  };
  const next = (one: KeyView): string => {
    if (one.state === "announced" && one.active_at !== null) return `signs ${relative(one.active_at, now)}`;
    return one.destroy_at === null || one.state !== "retired" ? "" : `destroyed ${relative(one.destroy_at, now)}`;
  };
  return [
    { title: "key", whole: true, value: (one) => one.kid },
    { title: "alg", value: (one) => one.alg },
    { title: "state", value: (one) => one.state, show: coloured },
    { title: "made", value: (one) => one.created_at, show: (one) => relative(one.created_at, now) },
    { title: "next", value: (one) => one.active_at ?? one.destroy_at ?? "", show: next },
  ];
}
