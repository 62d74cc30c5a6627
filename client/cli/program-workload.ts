import { Option, type Command } from "commander";
import type { Act } from "./program.ts";
import { CREDENTIAL_FORMATS } from "../deliver/formats.ts";

/** `--url` and `--timeout`, which every command that talks to a broker takes. */
export const connected = (command: Command): Command =>
  command
    .option("--url <url>", "the broker (default: $STINT_URL)")
    .option("--timeout <span>", "for the whole call, with retries (default: 10s)");

/** The options of a list or a record. */
export const readable = (command: Command): Command =>
  command.option("--json [members]", "JSON with all members, or --json=id,state").option("--field <name>", "only this member");

/** An option that may be given several times. */
export const several = (value: string, before: readonly string[] = []): string[] => [...before, value];

const asking = (command: Command): Command =>
  command
    .option("--ttl <span>", "how long it should live; what the grant allows at most is given")
    .option("--scope <scope>", "narrow it to this scope; may be repeated", several)
    .option("--purpose <text>", "why, for the audit trail");

/** What a workload does: ask, run, finish, look at itself. */
export function defineWorkload(program: Command, act: Act): void {
  program.commandsGroup("Do one task with credentials:");
  defineRequest(program, act);
  defineExec(program, act);
  connected(program.command("complete"))
    .description("End the task: everything issued for it dies; prints the receipt")
    .argument("[task]", "default: $STINT_TASK, or the task this CI run belongs to")
    .addOption(new Option("--outcome <outcome>").choices(["success", "failure", "cancelled"]).default("success"))
    .option("--json [members]", "the receipt as JSON")
    .addHelpText("before", "  stint complete --outcome failure\n")
    .action(act(() => import("./complete.ts")));
  readable(connected(program.command("whoami")))
    .description("What the broker sees: trust, workload, task, and the grants within reach")
    .option("--claims", "show all claims, too")
    .action(act(() => import("./whoami.ts")));
  connected(program.command("can-i"))
    .description("What a request would be answered, without making it")
    .argument("<grant>")
    .option("--as-claims <file>", "for these claims (JSON), as an operator")
    .option("--trust <name>", "the trust that would vouch for them")
    .option("-q, --quiet", "only the exit code")
    .option("--json [members]", "JSON")
    .addHelpText("before", "  stint can-i deploy-prod\n  stint can-i deploy-prod --trust github --as-claims claims.json\n")
    .action(act(() => import("./can-i.ts")));
}

function defineRequest(program: Command, act: Act): void {
  asking(connected(program.command("request")))
    .description("Get one credential")
    .argument("<grant>", "the grant's name")
    .option("--environment <name>", "what it is for, where the grant asks")
    .option("--resource <uri>", "what it is for, where the grant asks")
    .addOption(
      new Option("--format <format>", "how to write it (default: token; json where there is no single one)").choices([
        ...CREDENTIAL_FORMATS,
      ]),
    )
    .option("--option <name=value>", "what the issuer takes beside: name=value, name=@file, name:=JSON; may be repeated", several)
    .option("--host <host>", "for netrc, git and docker: where it is for")
    .option("--username <name>", "for netrc, git and docker: the user name that goes with a token")
    .option("--out <file>", "write it to this file, mode 0600")
    .option("--field <name>", "only this member of the answer")
    .option("--reveal", "print it on a terminal, too")
    .addHelpText(
      "before",
      '  DEPLOY_TOKEN=$(stint request deploy-prod --ttl 5m)\n  stint request deploy-prod --format env --out "$RUNNER_TEMP/deploy.env"\n',
    )
    .action(act(() => import("./request.ts")));
}

function defineExec(program: Command, act: Act): void {
  asking(connected(program.command("exec")))
    .description("Run a command with credentials; when it exits they die")
    .argument("<command...>", "after --")
    .option("--for <grant[=how]>", "a credential: into this VARIABLE, or in this shape (default: by its kind); may be repeated", several)
    .option("--file <VARIABLE=grant[:format]>", "write one to a file and put its path into this variable; may be repeated", several)
    .option("--option <[grant:]name=value>", "what the issuer takes beside: name=value, name=@file, name:=JSON; may be repeated", several)
    .option("--generate-key <grant>", "make the SSH key here: its private half goes to no broker; may be repeated", several)
    .option("--heartbeat <span>", "if this process is lost, the task ends after this long", "1m")
    .addOption(
      new Option("--outcome <outcome>", "auto: by the exit code").choices(["auto", "success", "failure", "cancelled"]).default("auto"),
    )
    .option("--report <file>", "write the receipt to this file (JSON)")
    .option("--keep-task", "end only these credentials: later steps of this CI job may ask again")
    .option("--keep-env", "leave our own and other cloud variables in the command's environment")
    .option("--no-mask", "do not hide the credentials in what the command prints")
    .passThroughOptions()
    .addHelpText(
      "before",
      "  stint exec --for deploy-prod=DEPLOY_TOKEN -- ./deploy.sh\n  stint exec --for orders-db=pgservice --for hosts=ssh-agent -- ./migrate.sh\n",
    )
    .addHelpText(
      "after",
      "\nShapes: env, pgpass, pgservice, netrc[:host], git[:host], docker:host, ssh, ssh-agent, x509, aws. Files and agents are gone when the command has ended.\nThe command's own exit code is returned. 125: no credential, the command was not started; 126: not executable; 127: not found; 128+n: signal n.\nA variable cannot be renewed while the command runs: ask for a --ttl that lasts.",
    )
    .action(act(() => import("./exec.ts")));
}
