import type { Finding } from "../../../client/doctor/finding.ts";
import { callCli } from "../cli/run-cli.ts";

/** What `stint doctor` found, by JSON: the exit code, and each finding by the name of its check. */
export interface Examined {
  readonly code: number | null;
  readonly err: string;
  readonly findings: readonly Finding[];
  /** The findings of one check. */
  of(check: string): readonly Finding[];
  /** Checks that ended so. */
  named(status: Finding["status"]): readonly string[];
}

/** Runs it without the variables of this process; nothing of this machine is looked at unless a variable names it. */
export async function examine(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Examined> {
  const { code, out, err } = await callCli(["doctor", ...args, "--json"], {
    STINT_DATA_DIR: "/nonexistent",
    STINT_METRICS_LISTEN: "off",
    ...env,
  });
  const findings = (out === "" ? [] : (JSON.parse(out) as { readonly items: readonly Finding[] }).items) satisfies readonly Finding[];
  return {
    code,
    err,
    findings,
    of: (check) => findings.filter((one) => one.check === check),
    named: (status) => findings.filter((one) => one.status === status).map(({ check }) => check),
  };
}
