import type { WhoamiView } from "../../domain/wire.ts";
import { secretVariable, type Context } from "./context.ts";
import { printRecord, type Machine } from "./output.ts";
import { clean } from "./screen.ts";
import { relative } from "./times.ts";

interface Options extends Machine {
  readonly claims?: boolean;
}

/** `stint whoami`: as the workload this is, or, with an operator token and nothing else, as that operator. */
export async function run(context: Context, options: Options): Promise<number> {
  const taskToken = secretVariable(context.env, "STINT_TASK_TOKEN");
  const identity = context.identity();
  const who = taskToken ?? identity;
  const asOperator = taskToken === undefined && identity.source === "none" && context.hasOperatorToken();
  const view = asOperator ? await context.operator().whoami() : await context.broker.whoami(who);
  const source = asOperator ? "operator token" : taskToken === undefined ? identity.source : "task token";
  const rows = [
    ...rowsOf(view, context.clock(), source),
    ...(options.claims === true && view.kind === "workload" ? claimRows(view.claims) : []),
  ];
  printRecord(context.screen, { schema: "whoami/v1", item: view, rows }, options);
  return 0;
}

function rowsOf(view: WhoamiView, now: number, source: string): (readonly [string, string])[] {
  if (view.kind === "operator")
    return [
      ["operator", clean(view.name)],
      ["role", view.role],
    ];
  return [
    ["workload", clean(view.workload)],
    ["subject", clean(view.subject)],
    ["trust", clean(view.trust)],
    ["task", clean(view.task ?? view.task_value ?? "each request opens its own")],
    ["evidence", `${source}, ends ${relative(view.evidence_expires_at, now)}`],
    ["grants", view.grants.length === 0 ? "none within reach" : view.grants.map(clean).join(", ")],
  ];
}

function claimRows(claims: Readonly<Record<string, unknown>>): (readonly [string, string])[] {
  return Object.entries(claims).map(([name, value]) => [
    clean(`  ${name}`),
    clean(typeof value === "string" ? value : JSON.stringify(value)),
  ]);
}
