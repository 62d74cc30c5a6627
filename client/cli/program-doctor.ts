import type { Command } from "commander";
import type { Act } from "./program.ts";
import { connected } from "./program-workload.ts";

/** What somebody types first when nothing works. */
export function defineDoctor(program: Command, act: Act): void {
  const doctor = program
    .command("doctor")
    .description("Find what is wrong with a deployment, and how to mend it")
    .option("--url <url>", "the broker (default: $STINT_URL)")
    .option("--timeout <span>", "for each step of the way (default: 5s)")
    .option("--metrics <url>", "the broker's metrics (default: where a broker on this machine has them)")
    .option("--json [members]", "the findings as JSON")
    .addHelpText("before", "  stint doctor\n  stint doctor verify https://deploy.acme.dev/deploy --grant deploy-prod\n")
    .addHelpText(
      "after",
      "\nMore is seen with an operator token, inside a job, and on the broker's own machine. Exit 9 when something failed.",
    )
    .action(act(() => import("./doctor.ts")));
  connected(doctor.command("verify"))
    .description("Ask a resource server with tokens it must refuse, and with one it must honour")
    .argument("<url>", "one of its protected addresses, asked with GET")
    .option("--grant <grant>", "ask for a real token of this grant, too: it must be honoured, and refused once it was given back")
    .option("--other-grant <grant>", "a grant for another audience: its token must be refused")
    .option("--within <span>", "a token that was given back must be refused within this time", "20s")
    .option("--json [members]", "the findings as JSON")
    .action(act(() => import("./doctor-verify.ts")));
}
